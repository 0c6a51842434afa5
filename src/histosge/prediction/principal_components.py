"""Principal components with a rule for their signs."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["axes_of_products", "principal_axes"]

# eigenvalues below these parts of the largest are rounding errors: of singular values, squared, and of products
_LEAST_EXACT, _LEAST_FAST = 1e-16, 1e-10
_TINY = 1e-300


def principal_axes(
    matrix: Float[np.ndarray, "n g"], most: int, *, share: float = 1.0, exact: bool = False
) -> Float[np.ndarray, "k g"]:
    """Return the first principal axes of a matrix: orthonormal rows, the largest sum of squares first.

    The largest entry of each axis is positive. The sign of a singular vector is arbitrary, and this rule makes it the
    same on every machine.

    Parameters
    ----------
    matrix
        Centred by the caller where components of the covariance are wanted.
    most
        At most this many axes; fewer where the rank is lower, but at least one.
    share
        As many axes as carry this share of the sum of squares.
    exact
        Use a singular value decomposition, which resolves small components too. Otherwise only the ``most`` largest
        eigenvectors of the smaller matrix of products are computed, in a fraction of the time; components of less than
        1e-5 of the largest standard deviation are then left out.

    Examples
    --------
    >>> import numpy as np
    >>> principal_axes(np.array([[-3.0, -4.0], [6.0, 8.0]]), 5).round(6).tolist()
    [[0.6, 0.8]]
    """
    if exact:
        _, singular, axes = np.linalg.svd(matrix, full_matrices=False)
        eigenvalues, total, least = singular**2, float((singular**2).sum()), _LEAST_EXACT
    else:
        eigenvalues, axes, total = _from_products(matrix, most)
        least = _LEAST_FAST
    return _kept(eigenvalues, axes, total, most, share=share, least=least)


def axes_of_products(products: Float[np.ndarray, "g g"], most: int) -> Float[np.ndarray, "k g"]:
    """Return the first principal axes of a matrix whose products over its rows these are, as :func:`principal_axes`.

    The products of many rows are summed over blocks of them, and the rows need not be held.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[-3.0, -4.0], [6.0, 8.0]])
    >>> axes_of_products(rows.T @ rows, 5).round(6).tolist()
    [[0.6, 0.8]]
    """
    eigenvalues, axes = _largest(products, most)
    return _kept(eigenvalues, axes, float(np.trace(products)), most, share=1.0, least=_LEAST_FAST)


def _kept(eigenvalues: Array, axes: Array, total: float, most: int, *, share: float, least: float) -> Array:
    """Return the axes that are resolved and wanted, with their signs."""
    # the tolerance keeps rounding of the sum from adding an axis at a share of 1
    enough = int(np.searchsorted(np.cumsum(eigenvalues), share * total * (1 - 1e-12))) + 1
    resolved = int((eigenvalues > least * max(eigenvalues[0], _TINY)).sum())
    axes = axes[: max(1, min(most, enough, resolved))]
    peak = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.asarray(axes * np.where(peak < 0, -1.0, 1.0))


def _from_products(matrix: Array, most: int) -> tuple[Array, Array, float]:
    """Return the largest eigenvalues of the matrix of products, their axes, and the sum of all eigenvalues."""
    # both matrices of products have the same eigenvalues; the smaller one is faster to decompose
    wide = matrix.shape[1] > matrix.shape[0]
    products = np.asarray(matrix @ matrix.T if wide else matrix.T @ matrix, dtype=np.float64)
    values, axes = _largest(products, most)
    if wide:
        # from eigenvectors over spots to axes over genes
        axes = axes @ matrix / np.sqrt(np.maximum(values, _TINY))[:, None]
    return values, axes, float(np.trace(products))


def _largest(products: Array, most: int) -> tuple[Array, Array]:
    """Return the largest eigenvalues of a symmetric matrix and their eigenvectors, one a row."""
    from scipy.linalg import eigh

    last = len(products) - 1
    values, vectors = eigh(products, subset_by_index=(max(0, last + 1 - most), last), check_finite=False)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1].T
