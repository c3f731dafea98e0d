"""Fit the polynomial of csrc/kernels/simd/log.hpp: p in  log((1+s)/(1-s)) = 2s + s*z*p(z), z = s*s.

Needs mpmath. |s| <= 1/3 covers log(1+t) for t in [0, 1], where s = t / (2+t); log reduces to
[sqrt(1/2), sqrt(2)], where |s| is under 0.172. Chebyshev interpolation in 60 digits: within a few
percent of the minimax polynomial of that degree. Prints the coefficients, highest power first,
rounded to the dtype, and the largest error relative to the logarithm: it should lie well under half
a unit in the last place (6e-8, 1.1e-16).
"""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 60


def target(z: mp.mpf) -> mp.mpf:
    """Return (log((1+s)/(1-s)) - 2s) / (s*z), by its series so that nothing cancels."""
    return mp.nsum(lambda k: 2 * z**k / (2 * k + 3), [0, mp.inf])


def fit(degree: int) -> list[mp.mpf]:
    """Fit p on the range of z, widened by 1 % because rounding may overshoot it."""
    edge = mp.mpf("1.01") / 9
    coefficients = mp.chebyfit(target, [-edge / 100, edge], degree + 1)
    grid = [edge * mp.mpf(i) / 400 for i in range(1, 401)]
    worst = max(
        abs((mp.polyval(coefficients, z) - target(z)) * z / (2 + z * target(z))) for z in grid
    )
    print(f"degree {degree}: largest relative error {mp.nstr(worst, 3)}")
    return list(coefficients)


def main() -> None:
    """Print both tables of log.hpp."""
    for degree, digits in ((4, 9), (9, 17)):
        for coefficient in fit(degree):
            print("   ", mp.nstr(coefficient, digits))


if __name__ == "__main__":
    main()
