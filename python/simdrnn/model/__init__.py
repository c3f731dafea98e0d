"""Models: parts under names with one set of parameters, one file and one training loop."""

from __future__ import annotations

from simdrnn.model.model import Model
from simdrnn.model.pooling import Pooling
from simdrnn.model.trainer import Trainer

__all__ = ["Model", "Pooling", "Trainer"]
