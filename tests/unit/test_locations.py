"""Locations: at spots, at sub-spots, on grids, at cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_samples import section
from scipy.spatial import cKDTree

from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.geometry.polygons import Polygon
from histosge.section.locations import at_cells, at_spots, grid, upsampled, within
from histosge.segmentation.cells import Cells


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
@given(factor=st.integers(1, 8), angle=st.floats(0, 6.28))
@settings(max_examples=15, deadline=None)
def test_translation_gives_exactly_n_locations_a_spot_and_no_duplicates(
    kind: str, factor: int, angle: float
) -> None:
    """The measured spots come first, unchanged; all ids and locations differ; each location is its parent, shifted."""
    toy = section(kind, 100.0, angle)
    locations = upsampled(toy, factor)
    assert len(locations) == factor * len(toy)
    assert np.array_equal(locations.points.ids[: len(toy)], toy.spots.ids)
    assert np.array_equal(locations.xy[: len(toy)], toy.spots.xy)
    assert locations.observed.sum() == len(toy)
    nearest = cKDTree(locations.xy).query(locations.xy, k=2)[0][:, 1]
    assert nearest.min() > 0.3 * toy.pitch_um
    shift = np.linalg.norm(locations.xy - toy.spots.xy[locations.parent], axis=1)
    assert shift.max() <= 0.72 * toy.pitch_um if kind == "hexagonal" else shift.max() <= 1.07 * toy.pitch_um
    lattice = toy.lattice
    assert lattice is not None
    assert np.allclose(lattice.to_um(locations.lattice_xy), locations.xy, atol=1e-6)


def test_fourfold_hexagonal_upsampling_is_a_hexagonal_lattice_of_half_the_pitch() -> None:
    """Every location has a neighbour at half the pitch, and inner locations have six."""
    toy = section("hexagonal")
    xy = upsampled(toy, 4, boundary="symmetric").xy
    distance = cKDTree(xy).query(xy, k=7)[0]
    assert np.allclose(distance[:, 1], 50)
    assert np.isclose(distance[:, 6], 50).sum() > 0.5 * len(xy)


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
@pytest.mark.parametrize("factor", [2, 4, 7, 8])
def test_boundaries_differ_at_the_edge_only(kind: str, factor: int) -> None:
    """Inner ⊆ symmetric, inner ⊆ translate ∪ symmetric, and they are equal in the interior."""
    toy = section(kind)
    positions = {
        boundary: {tuple(xy) for xy in np.round(upsampled(toy, factor, boundary=boundary).lattice_xy, 3)}
        for boundary in ("translate", "symmetric", "inner")
    }
    assert positions["inner"] <= positions["symmetric"]
    assert len(positions["inner"]) < len(positions["symmetric"])
    middle = {xy for xy in positions["symmetric"] if 3 <= xy[0] <= 6 and 3 <= xy[1] <= 5}
    assert middle <= positions["translate"]
    assert middle <= positions["inner"]


def test_a_grid_has_its_spacing_and_stays_near_the_spots() -> None:
    """Points are one spacing apart, none is further than a pitch from a spot, none is observed."""
    toy = section("hexagonal")
    locations = grid(toy, 30.0)
    assert np.allclose(cKDTree(locations.xy).query(locations.xy, k=2)[0][:, 1], 30)
    assert cKDTree(toy.spots.xy).query(locations.xy)[0].max() <= toy.pitch_um
    assert not locations.observed.any()
    assert (locations.subspot == -1).all()
    with pytest.raises(UsageError, match="positive"):
        grid(toy, -1.0)
    with pytest.raises(UsageError, match="larger `spacing_um`"):
        grid(toy, 0.01)


def test_cells_keep_their_ids_and_their_nearest_spot() -> None:
    """The parent of a cell is the nearest spot."""
    toy = section("square")
    locations = at_cells(toy, Cells(np.array(["c1", "c2"]), toy.spots.xy[[5, 2]] + 3.0))
    assert list(locations.parent) == [5, 2]
    assert list(locations.points.ids) == ["c1", "c2"]


def test_spots_are_locations() -> None:
    """``at_spots`` is upsampling by one."""
    toy = section("square")
    assert np.array_equal(at_spots(toy).xy, upsampled(toy, 1).xy)
    assert at_spots(toy).observed.all()


def test_unknown_factors_boundaries_and_tables_are_refused() -> None:
    """The message lists what there is."""
    toy = section("square")
    with pytest.raises(UsageError, match="1 to 8"):
        upsampled(toy, 9)
    with pytest.raises(UsageError, match="symmetric or inner"):
        upsampled(toy, 4, boundary="all")
    with pytest.raises(UsageError, match="paper_literal"):
        upsampled(toy, 4, table="best")


def test_regions_and_cells_of_another_image_are_refused() -> None:
    """None of them lies on the section: a wrong file or a wrong unit."""
    section = synthetic(columns=8, rows=8, genes=6).section
    corners = np.array([[0.0, 0], [400, 0], [400, 400], [0, 400]])
    for toy in (section, replace(section, slide=None)):
        far = toy.spots.xy.max(0) + 1e5
        with pytest.raises(UsageError, match="100% of the regions"):
            within(toy, [Polygon("far", corners + far)], 50.0)
        with pytest.raises(UsageError, match="100% of the cells"):
            at_cells(toy, Cells(np.array(["a", "b", "c", "d"]), corners + far))
        assert len(within(toy, [Polygon("near", corners + toy.spots.xy.mean(0))], 50.0))
