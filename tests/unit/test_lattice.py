"""Lattices are fitted to positions in any orientation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lattice_samples import hexagonal_indices, section

from histosge.errors import DataError
from histosge.geometry.lattice import Lattice, is_visium, lattice_indices, pitch_px


@given(
    st.floats(0, 6.28),
    st.floats(20, 300),
    st.booleans(),
    st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
)
# rounding puts a half of the basis' reduction on either side of it by turns
@example(4.790151962191865, 280.0, True, (-9355.888854887722, 8118.532038823683))
@example(4.0, 275.4180093098847, False, (-2.0, 0.0))
@example(2.0**-18, 247.061012115196, False, (-2511.232485238397, -2982.105035700255))
@settings(max_examples=40, deadline=None)
def test_a_lattice_is_fitted_in_any_orientation(
    angle: float, pitch: float, mirrored: bool, origin: tuple[float, float]
) -> None:
    """Rotation, mirror image, scale and origin are recovered; µm → lattice → µm is the identity."""
    indices = hexagonal_indices()
    step = np.array([[pitch / 2, 0], [0, pitch * 0.75**0.5 * (-1 if mirrored else 1)]])
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xy = indices @ step @ rotation + np.array(origin)
    lattice = Lattice.fit(xy, indices)
    assert lattice.kind == "hexagonal"
    assert lattice.pitch_um == pytest.approx(pitch)
    assert np.allclose(lattice.to_um(lattice.to_lattice(xy)), xy)
    assert np.allclose(lattice.to_lattice(xy), indices, atol=1e-6)
    assert lattice.basis.tolist() in ([[2, 0], [1, 1]], [[2, 0], [1, -1]])


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
def test_a_lattice_is_fitted_to_positions_alone(kind: str) -> None:
    """Without array coordinates kind and pitch are the same, small jitter included."""
    toy = section(kind, 100.0, 0.3)
    jitter = np.random.default_rng(0).normal(0, 3, (len(toy), 2))
    lattice = Lattice.fit(toy.spots.xy + jitter)
    assert lattice.kind == kind
    assert lattice.pitch_um == pytest.approx(100, abs=1)
    assert len(np.unique(lattice_indices(toy.spots.xy + jitter), axis=0)) == len(toy)


def test_positions_that_are_no_lattice_are_refused() -> None:
    """Too few spots, spots on a line, shuffled barcodes and irregular positions each have a message."""
    indices = hexagonal_indices()
    xy = indices @ np.array([[50.0, 0], [0, 86.6]])
    with pytest.raises(DataError, match="at least 3"):
        Lattice.fit(xy[:2], indices[:2])
    with pytest.raises(DataError, match="on a line"):
        Lattice.fit(xy[:9], indices[:9])
    with pytest.raises(DataError, match="do not belong together"):
        Lattice.fit(np.random.default_rng(0).permutation(xy), indices)
    with pytest.raises(DataError, match="irregular"):
        Lattice.fit(np.random.default_rng(0).uniform(0, 1000, (200, 2)))


def test_the_pitch_is_measured_in_pixels() -> None:
    """Readers derive µm per pixel from it."""
    indices = hexagonal_indices()
    assert pitch_px(indices @ np.array([[68.85, 0], [0, 119.8]]), indices) == pytest.approx(138, abs=0.5)


def test_an_interlaced_square_array_is_not_visium() -> None:
    """Even column + row is shared by both; only Visium's neighbours form hexagons."""
    columns, rows = np.meshgrid(np.arange(12.0), np.arange(12.0))
    index = np.column_stack([columns.ravel(), rows.ravel()])
    index = index[index.sum(axis=1) % 2 == 0]
    assert is_visium(index * [50.0, 50.0 * 3**0.5], index)
    assert not is_visium(index * 200.0, index)
    assert not is_visium(index * 200.0, None)
