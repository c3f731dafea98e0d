"""Handwritten digits read row by row, and a season continued, with scikit-learn's tools."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from simdrnn.sklearn import RNNClassifier, SequenceForecaster

images, labels = load_digits(return_X_y=True)
sequences = images.reshape(-1, 8, 8)  # 1797 pictures: sequences of 8 rows of 8 pixels
X, X_test, y, y_test = train_test_split(sequences, labels, random_state=0)

model = RNNClassifier("lstm", hidden_size=64, learning_rate=0.01, random_state=0).fit(X, y)
print(f"{model.score(X_test, y_test):.1%} of digits never seen, after {model.n_iter_} epochs")

season = 20 + 0.1 * np.arange(120) + 5 * np.sin(np.arange(120) * np.pi / 6)
forecaster = SequenceForecaster(difference=1, lags=[1, 12], random_state=0).fit(season[:108])
error = np.abs(forecaster.predict(12) - season[108:]).max()
print(f"The next 12 months, to within {error:.1f}")
