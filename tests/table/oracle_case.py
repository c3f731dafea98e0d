"""A row of the table with its problem and what one thread makes of it: what oracles are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

import simdrnn as sr
from covering import Row
from problems import Setting, draw
from rows import label

# What is laid out like x, and what is laid out like a state.
FLAGS = ("mask", "reset", "attention")
SEQUENCES = ("output", "d_x", "d_attention")
STATES = ("state", "d_state", "d_reset_state")


@contextmanager
def using(isa: str) -> Iterator[None]:
    """Run on an instruction set."""
    before = sr.isa.active()
    sr.isa.use(isa)
    try:
        yield
    finally:
        sr.isa.use(before)


def instruction_set_of(row: Row) -> str:
    """Return the row's instruction set, or the best there is where it is not: bits are the same."""
    available = sr.isa.available()
    return row["isa"] if row["isa"] in available else available[0]


class Case:
    """A row, its problem, and what one thread makes of it on the row's instruction set."""

    def __init__(self, row: Row) -> None:
        self.row, self.of = row, Setting(row)
        self.problem = draw(sr, row)
        self.words = np.random.default_rng(len(label(row)))
        T, B = self.of.T, self.of.B
        call = self.problem.call
        self.within = np.arange(T)[:, None] < call.get("lengths", np.full(B, T))
        self.real = self.within & call.get("mask", np.ones((T, B), bool))

    @cached_property
    def want(self) -> dict[str, Any]:
        return self.problem.results(num_threads=1)

    @property
    def drawn(self) -> bool:
        """Whether the call draws anything at random."""
        return self.of.random and self.problem.training
