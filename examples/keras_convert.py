"""A Keras model, its recurrent layers on the engine: one line, and it can be undone."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # or "jax"; with "numpy" there is no training

import keras
import numpy as np

import simdrnn.keras

x = np.random.default_rng(0).standard_normal((256, 20, 4)).astype("float32")
y = x.cumsum(axis=1).max(axis=(1, 2))

model = keras.Sequential([keras.Input((20, 4)), keras.layers.GRU(32, return_sequences=True)])
model.add(keras.layers.LSTM(32))
model.add(keras.layers.Dense(1))
before = model.predict(x, verbose=0)

simdrnn.keras.convert(model)  # the same model, weights and all; simdrnn.keras.revert undoes it

print(simdrnn.keras.report(model))
print("largest difference:", np.abs(model.predict(x, verbose=0) - before).max())
model.compile("adam", "mse")
losses = model.fit(x, y, epochs=5, batch_size=32, verbose=0).history["loss"]
print("loss:", *(f"{loss:.3f}" for loss in losses))
