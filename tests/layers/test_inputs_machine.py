"""Instruction sets and thread counts: any choice is taken, or is refused by name."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import simdrnn as sr
from helpers_inputs import assert_refused, set_of_counts, values


@given(st.data())
def test_isa_of_any_name(data):
    name = data.draw(
        values(
            sr.isa.available(), ["", "AVX2", "neon", "avx2\0", None, 3, b"avx2", ["avx2"], "\ud800"]
        )
    )
    before = sr.isa.active()

    if name.refused:
        assert_refused({"name": name}, sr.isa.use, name.value)
        assert sr.isa.active() == before
    else:
        sr.isa.use(name.value)
        assert sr.isa.active() == name.value
        sr.isa.use(before)


@given(st.data())
def test_threads_of_any_number(data):
    count = data.draw(values([1, 2, np.int8(3), 2**31, 10**30], [0, *set_of_counts()]))
    before = sr.get_num_threads()

    if count.refused:
        assert_refused({"n": count}, sr.set_num_threads, count.value)
        assert sr.get_num_threads() == before
    else:
        sr.set_num_threads(count.value)
        assert 1 <= sr.get_num_threads() <= count.value
        sr.set_num_threads(None)
