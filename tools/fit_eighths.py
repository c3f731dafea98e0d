"""Find the tables of sigmoid and tanh of float in csrc/kernels/simd/math.hpp (needs mpmath).

Both reduce by ln(2)/8 and take 2^(k/8), k = 0 to 7, from a table.

sigmoid: 1 + A 2^(n/8) * exp(-r)/A. The factor A is free, and chosen by trying many so that all
eight entries, and the constant term of the polynomial for exp(-r)/A, are nearly exact: only the
polynomial's own error and one rounding are left. A lies where 1/A is almost 2, so that the
polynomial rounds little for its size.

tanh: E = exp(2x) - 1 and E + 2, times a factor of five bits that is almost 2 for the same reason.
Entries have eight bits, so that subtracting the factor is exact; the logarithm of what an entry
lacks is added to r. The entry of 1 is exact, and with it the relative error near 0.

Prints C++: entries are given as the floats whose bits are less by k * 2^20, see scale_by_eighths.
"""

from __future__ import annotations

import struct

import mpmath as mp
import numpy as np

mp.mp.dps = 50
ENTRIES = 8
EDGE = mp.log(2) / (2 * ENTRIES)
FACTOR = mp.mpf(31) / 16
BITS = 8


def single(value: mp.mpf) -> np.float32:
    """Round to float32."""
    return np.float32(float(value))


def shifted(value: np.float32, k: int) -> str:
    """Write the float whose bits are those of entry k, less k * 2^20."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    return f"{struct.unpack('<f', struct.pack('<I', bits - (k << 20)))[0].hex()}f"


def exact_factor(constant: mp.mpf) -> np.longdouble:
    """Return the A for which entries and the constant term, `constant` / A, err least."""
    powers = np.exp2(np.arange(ENTRIES, dtype=np.longdouble) / ENTRIES)
    ideal = np.longdouble(1) + np.longdouble(float(constant - 1))
    rng = np.random.default_rng(1)
    best = (np.longdouble(1), np.longdouble(0))
    for _ in range(40):
        factors = (0.523 + 0.012 * rng.random(200_000)).astype(np.longdouble)
        entries = factors[:, None] * powers
        errors = entries.astype(np.float32).astype(np.longdouble) / entries - 1
        errors += ((ideal / factors).astype(np.float32) * factors - ideal)[:, None]
        worst = np.abs(errors).max(axis=1)
        best = min(best, (worst.min(), factors[worst.argmin()]))
    print(f"largest error of an entry and the constant: {best[0]:.2g}")
    return best[1]


def fit_sigmoid() -> None:
    """Print kScaled and kExpMinus."""
    edge = EDGE * mp.mpf("1.005")
    coefficients = mp.chebyfit(lambda r: mp.exp(-r), [-edge, edge], 4)
    factor = mp.mpf(str(exact_factor(coefficients[-1])))
    entries = [single(factor * mp.mpf(2) ** (mp.mpf(k) / ENTRIES)) for k in range(ENTRIES)]
    print("kScaled", ", ".join(shifted(entry, k) for k, entry in enumerate(entries)))
    print("kExpMinus", [mp.nstr(c / factor, 9) for c in coefficients])


def rest_of(r: mp.mpf) -> mp.mpf:
    """Return (exp(r) - 1 - r) / r^2, by its series so that nothing cancels."""
    return mp.nsum(lambda k: r**k / mp.factorial(k + 2), [0, 30])


def fit_tanh() -> None:
    """Print kShort, kHalfRest and kExpm1Of2r."""
    entries, rests = [], []
    for k in range(ENTRIES):
        value = FACTOR * mp.mpf(2) ** (mp.mpf(k) / ENTRIES)
        unit = mp.mpf(2) ** (mp.floor(mp.log(value, 2)) - BITS + 1)
        entries.append(mp.nint(value / unit) * unit)
        rests.append(mp.log(value / entries[-1]))
    edge = (EDGE + max(abs(rest) for rest in rests)) * mp.mpf("1.003")
    coefficients = mp.chebyfit(rest_of, [-edge, edge], 3)
    print("kShort", ", ".join(shifted(single(entry), k) for k, entry in enumerate(entries)))
    print("kHalfRest", ", ".join(mp.nstr(rest / 2, 9) for rest in rests))
    # Of 2r: each power of r takes a 2 with it, and there are two more.
    powers = (mp.mpf(2) ** (len(coefficients) - i + 1) for i in range(len(coefficients)))
    pairs = zip(coefficients, powers, strict=True)
    print("kExpm1Of2r", [mp.nstr(c * power, 9) for c, power in pairs])


if __name__ == "__main__":
    fit_sigmoid()
    fit_tanh()
