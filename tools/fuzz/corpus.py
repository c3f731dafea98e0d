"""Write the models that the fuzz driver starts from: every cell, and every way of joining layers.

python tools/fuzz/corpus.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import simdrnn as sr
from simdrnn.dialects import Chain


def models() -> dict[str, Any]:
    """Return small models by name."""
    found: dict[str, Any] = {}
    for place, name in enumerate(sr.list_cells()):
        dtype = ("float32", "float64")[place % 2]
        found[name] = getattr(sr, name)(3, 5, num_layers=1 + place % 3, dtype=dtype, seed=place)
    found["residual"] = sr.GRU(4, 4, num_layers=2, residual=True, learn_initial_state=True, seed=1)
    found["projected"] = sr.LSTM(3, 6, proj_size=2, proj_clip=0.5, zoneout=(0.1, 0.2), seed=2)
    found["heads"] = sr.SLSTM(3, 6, num_heads=2, seed=3) if hasattr(sr, "SLSTM") else found["GRU"]
    for place, kind in enumerate(("haste", "torch", "tf")):
        found[f"norm-{kind}"] = sr.LSTM(3, 5, layer_norm=kind, seed=place)
    named = [("elu", 0.7), "softsign", "hard_sigmoid"]
    found["activations"] = sr.GRU(3, 5, activation=named[0], recurrent_activation=named[2], seed=4)
    for skip in (None, "residual", "highway", "concat"):
        size = 7 if skip == "concat" else 4
        found[f"stack-{skip}"] = sr.Stack(
            [sr.LSTM(3, 4, seed=5), sr.GRU(size, 4, seed=6)], skip=skip, seed=7
        )
    found["chain"] = Chain(
        [
            sr.Linear(1, 3, seed=8),
            "tanh",
            sr.LSTM(3, 5, seed=9),
            sr.Linear(5, 2, seed=10),
            "softmax",
        ]
    )
    return found


def main() -> None:
    """Write them."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models().items():
        model.save(folder / f"{name}.simdrnn")
    print(f"{len(models())} models in {folder}")


if __name__ == "__main__":
    main()
