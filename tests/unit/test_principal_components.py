"""Principal axes agree with NumPy, and their signs follow a rule."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.prediction.principal_components import principal_axes


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_axes_are_those_of_numpy(shape: tuple[int, int], exact: bool) -> None:
    """Axes equal NumPy's singular vectors up to the sign, for tall and wide matrices."""
    matrix = np.random.default_rng(0).normal(size=shape) * np.linspace(3, 0.5, shape[1])
    _, singular, vectors = np.linalg.svd(matrix, full_matrices=False)
    axes = principal_axes(matrix, 5, exact=exact)
    assert np.allclose(np.abs(np.sum(axes * vectors[:5], axis=1)), 1.0)
    carried = np.cumsum(singular**2) / (singular**2).sum()
    expected = int(np.searchsorted(carried, 0.8)) + 1
    assert len(principal_axes(matrix, 99, share=0.8, exact=exact)) == expected


@pytest.mark.parametrize("exact", [True, False])
def test_the_largest_entry_is_positive(exact: bool) -> None:
    """The axes of a matrix and of its negative are the same."""
    matrix = np.random.default_rng(1).normal(size=(30, 8))
    axes, negative = (principal_axes(sign * matrix, 8, exact=exact) for sign in (1, -1))
    assert np.allclose(axes, negative)
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1) > 0).all()


@pytest.mark.parametrize("exact", [True, False])
def test_a_matrix_of_zeros_has_one_axis(exact: bool) -> None:
    """There is at least one axis, and it is finite."""
    axes = principal_axes(np.zeros((6, 4)), 3, exact=exact)
    assert axes.shape == (1, 4)
    assert np.isfinite(axes).all()
