"""Spectral radii: exact where that is cheap, else from a Krylov subspace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simdrnn.validate import Array

__all__ = ["KRYLOV", "radius_of_matrices", "radius_of_products"]

# Vectors of a Krylov subspace. Matrices of up to this size come out exactly; the radius of larger
# ones within 3 % (random, orthogonal and nearly diagonal matrices of size 512), for eigenvalues at
# the rim of the spectrum are what the subspace finds first (Saad 2011, "Numerical methods for large
# eigenvalue problems", chapter 6).
KRYLOV = 48

# Up to this size all eigenvalues are computed: 256 take some 50 ms.
_DENSE = 256


def radius_of_matrices(matrices: Array, rng: np.random.Generator) -> Array:
    """Return the spectral radius of each of `matrices` (n, H, H); NaN where it is not finite.

    Examples
    --------
    >>> radius_of_matrices(np.diag([0.5, -2.0])[None], np.random.default_rng(0)).tolist()
    [2.0]
    """
    count, size, _ = matrices.shape
    if size > _DENSE:

        def multiply(vectors: Array) -> Array:
            return np.asarray((matrices @ vectors[:, :, None])[:, :, 0])

        return radius_of_products(multiply, count, size, rng)
    return _largest(matrices)


def radius_of_products(
    multiply: Callable[[Array], Array], count: int, size: int, rng: np.random.Generator
) -> Array:
    """Return the spectral radii of matrices known by their products: Arnoldi's method.

    Parameters
    ----------
    multiply : takes vectors (n, size), one for each matrix, to the products.
    count, size : n and the size of the matrices.
    rng : draws the first vectors.

    Returns
    -------
    (n,) largest magnitudes of Ritz values; exact up to rounding where `size` is at most `KRYLOV`.

    References
    ----------
    Arnoldi 1951, "The principle of minimized iterations in the solution of the matrix eigenvalue
    problem".
    """
    length = min(size, KRYLOV)
    basis = np.zeros((count, length + 1, size))
    small = np.zeros((count, length + 1, length))
    first = rng.standard_normal((count, size))
    basis[:, 0] = first / np.linalg.norm(first, axis=1, keepdims=True)
    with np.errstate(all="ignore"):  # what is not finite ends as NaN
        for j in range(length):
            known = basis[:, : j + 1]
            vector = multiply(basis[:, j])
            rounding = size * np.finfo(np.float64).eps * np.linalg.norm(vector, axis=1)
            for _ in range(2):  # once more: rounding leaves a part along the basis
                along = known @ vector[:, :, None]
                vector = vector - (along.swapaxes(1, 2) @ known)[:, 0]
                small[:, : j + 1, j] += along[:, :, 0]
            norm = np.linalg.norm(vector, axis=1)
            # An invariant subspace leaves nothing but roundings, which point anywhere: the rest of
            # the basis stays 0 and adds eigenvalues 0.
            gone = norm <= rounding
            small[:, j + 1, j] = np.where(gone, 0.0, norm)
            basis[:, j + 1] = np.where(gone, 0.0, 1.0 / np.where(gone, 1.0, norm))[:, None] * vector
    return _largest(small[:, :length])


def _largest(matrices: Array) -> Array:
    """Return the largest magnitude of an eigenvalue of each of `matrices`."""
    finite = np.isfinite(matrices).all(axis=(1, 2))
    radii = np.full(len(matrices), np.nan)
    if finite.any():
        radii[finite] = np.abs(np.linalg.eigvals(matrices[finite])).max(axis=1)
    return radii
