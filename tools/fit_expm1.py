"""Fit the polynomials of csrc/kernels/simd/math.hpp (needs mpmath).

They are q in  exp(a*r) - 1 = a*r + r*r*q(r).

a = 1 serves exp and sigmoid, |r| <= ln(2)/2; a = 2 serves tanh, which reduces by ln(2)/2,
|r| <= ln(2)/4. Chebyshev interpolation in 60 digits: within a few percent of the minimax polynomial
of that degree. Prints the coefficients, highest power first, rounded to the dtype, and the largest
error of q * r * r relative to exp(a*r): it should lie well under half a unit in the last place
(6e-8, 1.1e-16).
"""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 60


def target(a: int, r: mp.mpf) -> mp.mpf:
    """Return (exp(a r) - 1 - a r) / r^2, by its series so that nothing cancels."""
    return mp.nsum(lambda k: mp.mpf(a) ** (k + 2) * r**k / mp.factorial(k + 2), [0, 40])


def fit(a: int, degree: int) -> list[mp.mpf]:
    """Fit q on the reduced range, widened by 1 % because rounding may overshoot it."""
    edge = mp.log(2) / (2 * a) * mp.mpf("1.01")
    coefficients = mp.chebyfit(lambda r: target(a, r), [-edge, edge], degree + 1)
    grid = [edge * (mp.mpf(i) / 200 - 1) for i in range(401)]
    worst = max(
        abs((mp.polyval(coefficients, r) - target(a, r)) * r * r / mp.exp(a * r)) for r in grid
    )
    print(f"a = {a}, degree {degree}: largest relative error {mp.nstr(worst, 3)}")
    return list(coefficients)


def main() -> None:
    """Print every table of math.hpp."""
    for a, degree, digits in ((1, 4, 9), (2, 4, 9), (1, 9, 17), (2, 9, 17)):
        for coefficient in fit(a, degree):
            print("   ", mp.nstr(coefficient, digits))
    print("log2(e)", mp.nstr(mp.log(mp.e, 2), 20), "ln(2)", mp.nstr(mp.log(2), 40))


if __name__ == "__main__":
    main()
