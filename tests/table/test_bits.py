"""The same bits as ever on every machine, instruction set and build; see `tools/bits.py`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hashes import all_hashes, entries
from problems import Words

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "bits.json").read_text(encoding="utf-8"))
ENTRIES = entries()

# All of them are for `tools/bits.py`; a share will do to see that a build is right.
SHARE, PARTS = 5, 10
CHOSEN = [entry for n, entry in enumerate(ENTRIES) if n % SHARE == 0 or entry.row is None]


def test_numbers_come_from_the_words_of_the_generator():
    words = Words("words")

    first, second = words.uniform(2), words.below(10, 3)

    bits = np.random.PCG64(1904025228).random_raw(5)
    np.testing.assert_array_equal(first, (bits[:2] >> 11) / 2.0**52 - 1)
    np.testing.assert_array_equal(second, [int(word * 10 / 2**64) for word in map(int, bits[2:])])


def test_there_are_hashes_of_exactly_the_rows():
    assert [entry.name for entry in ENTRIES] == [*GOLDEN]


@pytest.mark.parametrize("part", range(PARTS))
def test_bits_are_those_of_ever(part):
    found = {entry.name: all_hashes(entry) for entry in CHOSEN[part::PARTS]}

    assert found == {name: GOLDEN[name] for name in found}
