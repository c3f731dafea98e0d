"""Fit the polynomials of csrc/kernels/simd/math.hpp (needs mpmath).

They are q in  exp(r) - 1 = r + r*r*q(r)  for |r| <= ln(2)/2. (sigmoid and tanh of float have
others: fit_eighths.py.) Chebyshev interpolation in 60 digits: within a few percent of the minimax
polynomial of that degree. Prints the coefficients, highest power first, rounded to the dtype, and
the largest error of q * r * r relative to exp(r): it should lie well under half a unit in the last
place (6e-8, 1.1e-16).
"""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 60


def target(r: mp.mpf) -> mp.mpf:
    """Return (exp(r) - 1 - r) / r^2, by its series so that nothing cancels."""
    return mp.nsum(lambda k: r**k / mp.factorial(k + 2), [0, 40])


def fit(degree: int) -> list[mp.mpf]:
    """Fit q on the reduced range, widened by 1 % because rounding may overshoot it."""
    edge = mp.log(2) / 2 * mp.mpf("1.01")
    coefficients = mp.chebyfit(target, [-edge, edge], degree + 1)
    grid = [edge * (mp.mpf(i) / 200 - 1) for i in range(401)]
    worst = max(abs((mp.polyval(coefficients, r) - target(r)) * r * r / mp.exp(r)) for r in grid)
    print(f"degree {degree}: largest relative error {mp.nstr(worst, 3)}")
    return list(coefficients)


def main() -> None:
    """Print every table of math.hpp."""
    for degree, digits in ((4, 9), (9, 17)):
        for coefficient in fit(degree):
            print("   ", mp.nstr(coefficient, digits))
    print("log2(e)", mp.nstr(mp.log(mp.e, 2), 20), "ln(2)", mp.nstr(mp.log(2), 40))


if __name__ == "__main__":
    main()
