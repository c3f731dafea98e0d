"""Models that company is measured with: whoever reads this needs neither PyTorch nor us."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A model: what it reads (a vocabulary, or features), its layers, and what it says."""

    name: str
    cell: str
    reads: int
    embedded: bool
    hidden: int
    layers: int
    both_ways: bool
    classes: int
    steps: int
    batch: int


# The shapes that people train (sizes of the character model of every tutorial, a tagger, acoustic
# frames), and those of trained models out of packages, which are for inference.
MODELS = (
    Case("character LSTM 2x256", "LSTM", 100, True, 256, 2, False, 100, 64, 32),
    Case("character GRU 2x256", "GRU", 100, True, 256, 2, False, 100, 64, 32),
    Case("tagger BiLSTM 128", "LSTM", 5000, True, 128, 1, True, 20, 40, 16),
    Case("small GRU 64", "GRU", 64, False, 64, 1, False, 10, 20, 8),
    Case("BiGRU 3x256", "GRU", 80, False, 256, 3, True, 40, 100, 16),
    Case("LSTM 2x512", "LSTM", 2000, True, 512, 2, False, 2000, 35, 64),
    Case("frames LSTM 3x320", "LSTM", 80, False, 320, 3, False, 60, 200, 8),
)
SHAPES = (
    Case("pyannote BiLSTM 4x128", "LSTM", 60, False, 128, 4, True, 7, 589, 1),
    Case("Kokoro BiLSTM 256", "LSTM", 512, False, 256, 1, True, 1, 200, 1),
    Case("resemblyzer LSTM 3x256", "LSTM", 40, False, 256, 3, False, 256, 160, 1),
    Case("medaka BiGRU 2x128", "GRU", 10, False, 128, 2, True, 5, 1000, 4),
    Case("dual-path BiLSTM 128", "LSTM", 64, False, 128, 1, True, 64, 50, 100),
)
