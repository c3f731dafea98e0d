"""What a shape allows of the FMA peak: its gate mathematics takes slots of the same units.

A slot is what one FMA of a vector takes. Beside the products a hidden unit needs, at every step and
row, the slots counted here, from the formulas of `csrc/kernels`: multiplications and FMAs, and
divisions, each of which keeps an FMA unit for two. Additions, comparisons, shifts and look-ups run
beside them on the CPUs that this was measured on. So at 100 % of what is allowed nothing but
arithmetic takes time: no load that is waited for, no filling and emptying of the register tile.
"""

from __future__ import annotations

from simdrnn.bench.cases import Case
from simdrnn.bench.peers import OURS
from simdrnn.bench.stats import Band, CaseResult

__all__ = ["GATE_SLOTS", "fraction_of_allowed"]

DIVISION = 2
# Of float32, multiplications and FMAs: both up to the numerator and denominator of a quotient.
SIGMOID, TANH = 7, 7

# Per hidden unit, step and row: of inference, of training. tanh(c) is computed again in backward.
_LSTM = 3 * SIGMOID + 2 * TANH + 3 + 3 * DIVISION  # three quotients and what joins them
_LSTM_BACKWARD = TANH + DIVISION + 16
_GRU = 2 * SIGMOID + TANH + 2 + 3 * DIVISION
GATE_SLOTS = {
    "lstm": (_LSTM, _LSTM + 3 * DIVISION + _LSTM_BACKWARD),  # a tape takes i, g and o by themselves
    "gru": (_GRU, _GRU + 11),
    "rnn": (TANH + DIVISION, TANH + DIVISION + 2),
}


def fraction_of_allowed(result: CaseResult, which: str) -> Band | None:
    """Return our speed as a fraction of what the shape allows; None where it is not counted."""
    fraction = result.fraction(OURS, which)
    if fraction is None or result.case.dtype != "float32":
        return None
    scale = 1 + _gate_slots(result.case, which) / (result.flops(which) / 2)
    return Band(fraction.median * scale, fraction.low * scale, fraction.high * scale)


def _gate_slots(case: Case, which: str) -> int:
    """Slots of one call, in FMAs of a single unit."""
    per_unit = GATE_SLOTS[case.cell][0 if which == "forward" else 1]
    return per_unit * case.H * case.B * case.steps()
