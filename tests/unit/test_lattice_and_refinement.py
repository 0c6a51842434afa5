"""Lattices, their refinements, and the places that come of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial import cKDTree

from histosge.errors import DataError, UsageError
from histosge.geometry.lattice import Lattice, lattice_indices, pitch_px
from histosge.geometry.platforms import LEGACY_ST, VISIUM
from histosge.geometry.points import Points
from histosge.geometry.upsampling import distinct_offsets, maximin_offsets, offsets, separation_um
from histosge.section.locations import at_spots, cells, grid, upsampled
from histosge.section.section import Section

HEXAGONAL = np.array([[1.0, 0.0], [0.5, 0.75**0.5]])
SQUARE = np.eye(2)
# smallest distance between places, in pitches, of the best refinements (exhaustive search)
SEPARATIONS = {
    "hexagonal": {2: 0.577, 3: 0.577, 4: 0.500, 5: 0.346, 6: 0.333, 7: 0.378, 8: 0.331},
    "square": {2: 0.707, 3: 0.471, 4: 0.500, 5: 0.447, 6: 0.373, 7: 0.319, 8: 0.354},
}


def hexagonal_sites(columns: int = 9, rows: int = 8) -> np.ndarray:
    return np.array([(2 * c + r % 2, r) for r in range(rows) for c in range(columns)], dtype=float)


def section(kind: str, pitch_um: float = 100.0, angle: float = 0.0) -> Section:
    if kind == "hexagonal":
        sites, step = hexagonal_sites(), np.array([[pitch_um / 2, 0], [0, pitch_um * 0.75**0.5]])
    else:
        sites, step = np.array([(c, r) for r in range(8) for c in range(9)], float), pitch_um * np.eye(2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xy = sites @ step @ turn + 1000.0
    spots = Points(xy, np.array([f"s{i}" for i in range(len(xy))]), 55.0)
    genes = np.array(["A"])
    counts = sparse.csr_matrix(np.ones((len(xy), 1)))
    platform = VISIUM if kind == "hexagonal" else LEGACY_ST
    return Section("toy", counts, genes, genes, spots, sites, Lattice.fit(xy, sites), platform, 0.5)


@given(
    st.floats(0, 6.28),
    st.floats(20, 300),
    st.booleans(),
    st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
)
@settings(max_examples=40, deadline=None)
def test_a_lattice_is_found_however_it_lies(
    angle: float, pitch: float, mirrored: bool, origin: tuple[float, float]
) -> None:
    """Rotation, mirror image, scale and origin are recovered; µm → lattice → µm is the identity."""
    sites = hexagonal_sites()
    step = np.array([[pitch / 2, 0], [0, pitch * 0.75**0.5 * (-1 if mirrored else 1)]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xy = sites @ step @ turn + np.array(origin)
    lattice = Lattice.fit(xy, sites)
    assert lattice.kind == "hexagonal"
    assert lattice.pitch_um == pytest.approx(pitch)
    assert np.allclose(lattice.to_um(lattice.to_lattice(xy)), xy)
    assert np.allclose(lattice.to_lattice(xy), sites, atol=1e-6)
    assert lattice.basis.tolist() in ([[2, 0], [1, 1]], [[2, 0], [1, -1]])


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
def test_a_lattice_is_found_from_positions_alone(kind: str) -> None:
    """Without array coordinates kind and pitch are the same, small jitter included."""
    toy = section(kind, 100.0, 0.3)
    jitter = np.random.default_rng(0).normal(0, 3, (len(toy), 2))
    lattice = Lattice.fit(toy.spots.xy + jitter)
    assert lattice.kind == kind
    assert lattice.pitch_um == pytest.approx(100, abs=1)
    assert len(np.unique(lattice_indices(toy.spots.xy + jitter), axis=0)) == len(toy)


def test_positions_that_are_no_lattice_are_refused() -> None:
    """Too few spots, spots on a line, shuffled barcodes and irregular places each have their sentence."""
    sites = hexagonal_sites()
    xy = sites @ np.array([[50.0, 0], [0, 86.6]])
    with pytest.raises(DataError, match="at least 3"):
        Lattice.fit(xy[:2], sites[:2])
    with pytest.raises(DataError, match="on a line"):
        Lattice.fit(xy[:9], sites[:9])
    with pytest.raises(DataError, match="do not belong together"):
        Lattice.fit(np.random.default_rng(0).permutation(xy), sites)
    with pytest.raises(DataError, match="irregular"):
        Lattice.fit(np.random.default_rng(0).uniform(0, 1000, (200, 2)))


def test_the_pitch_can_be_asked_for_in_pixels() -> None:
    """Readers find µm per pixel from it."""
    sites = hexagonal_sites()
    assert pitch_px(sites @ np.array([[68.85, 0], [0, 119.8]]), sites) == pytest.approx(138, abs=0.5)


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
@pytest.mark.parametrize("factor", range(2, 9))
def test_refinements_have_the_separation_of_an_exhaustive_search(kind: str, factor: int) -> None:
    """N distinct distinct_offsets, as far apart as the best superlattice or further."""
    basis = HEXAGONAL if kind == "hexagonal" else SQUARE
    lattice = Lattice(kind, np.zeros(2), np.eye(2), basis)  # type: ignore[arg-type]
    steps = offsets(lattice, factor)
    assert len(steps) == len(distinct_offsets(steps)) == factor
    assert separation_um(steps, basis) == pytest.approx(SEPARATIONS[kind][factor], abs=1e-3)
    searched = np.vstack([np.zeros((1, 2)), maximin_offsets(basis, factor)])
    assert len(distinct_offsets(searched)) == factor
    assert separation_um(steps, basis) >= separation_um(searched, basis) - 1e-9


@pytest.mark.parametrize(
    ("table", "delivered"),
    [("paper_literal", 5), ("published_8fold", 4), ("published_4fold", 4), ("stage_4fold", 3)],
)
def test_published_offset_lists_deliver_fewer_places_than_they_say(table: str, delivered: int) -> None:
    """Congruent offsets are counted once: the paper's 8-fold list has five, the code's four, STAGE's three."""
    toy = section("hexagonal")
    assert len(upsampled(toy, 8, table=table)) == delivered * len(toy)


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
@given(factor=st.integers(1, 8), angle=st.floats(0, 6.28))
@settings(max_examples=15, deadline=None)
def test_translation_gives_exactly_n_places_a_spot_and_no_duplicates(
    kind: str, factor: int, angle: float
) -> None:
    """The measured spots come first, unchanged; all ids and places differ; each place is its parent, shifted."""
    toy = section(kind, 100.0, angle)
    places = upsampled(toy, factor)
    assert len(places) == factor * len(toy)
    assert np.array_equal(places.points.ids[: len(toy)], toy.spots.ids)
    assert np.array_equal(places.xy[: len(toy)], toy.spots.xy)
    assert places.observed.sum() == len(toy)
    nearest = cKDTree(places.xy).query(places.xy, k=2)[0][:, 1]
    assert nearest.min() > 0.3 * toy.pitch_um
    shift = np.linalg.norm(places.xy - toy.spots.xy[places.parent], axis=1)
    assert shift.max() <= 0.72 * toy.pitch_um if kind == "hexagonal" else shift.max() <= 1.07 * toy.pitch_um
    lattice = toy.lattice
    assert lattice is not None
    assert np.allclose(lattice.to_um(places.lattice_xy), places.xy, atol=1e-6)


def test_fourfold_hexagonal_refinement_is_a_hexagonal_lattice_of_half_the_pitch() -> None:
    """Every place has a neighbour at half the pitch, and inner places have six."""
    toy = section("hexagonal")
    xy = upsampled(toy, 4, boundary="symmetric").xy
    distance = cKDTree(xy).query(xy, k=7)[0]
    assert np.allclose(distance[:, 1], 50)
    assert np.isclose(distance[:, 6], 50).sum() > 0.5 * len(xy)


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
@pytest.mark.parametrize("factor", [2, 4, 7, 8])
def test_fringes_differ_at_the_edge_only(kind: str, factor: int) -> None:
    """Inner ⊆ symmetric, inner ⊆ translate ∪ symmetric, and they agree in the interior."""
    toy = section(kind)
    found = {
        boundary: {
            tuple(place) for place in np.round(upsampled(toy, factor, boundary=boundary).lattice_xy, 3)
        }
        for boundary in ("translate", "symmetric", "inner")
    }
    assert found["inner"] <= found["symmetric"]
    assert len(found["inner"]) < len(found["symmetric"])
    middle = {place for place in found["symmetric"] if 3 <= place[0] <= 6 and 3 <= place[1] <= 5}
    assert middle <= found["translate"]
    assert middle <= found["inner"]


def test_a_grid_has_its_spacing_and_stays_near_the_spots() -> None:
    """Points are one spacing apart, none is further than a pitch from a spot, none is called observed."""
    toy = section("hexagonal")
    places = grid(toy, 30.0)
    assert np.allclose(cKDTree(places.xy).query(places.xy, k=2)[0][:, 1], 30)
    assert cKDTree(toy.spots.xy).query(places.xy)[0].max() <= toy.pitch_um
    assert not places.observed.any()
    assert (places.subspot == -1).all()
    with pytest.raises(UsageError, match="positive"):
        grid(toy, -1.0)
    with pytest.raises(UsageError, match="larger `spacing_um`"):
        grid(toy, 0.01)


def test_cells_keep_their_names_and_know_their_spot() -> None:
    """The parent of a cell is the nearest spot."""
    toy = section("square")
    places = cells(toy, toy.spots.xy[[5, 2]] + 3.0, np.array(["c1", "c2"]))
    assert list(places.parent) == [5, 2]
    assert list(places.points.ids) == ["c1", "c2"]


def test_the_spots_themselves_are_places() -> None:
    """``at_spots`` is refinement by one."""
    toy = section("square")
    assert np.array_equal(at_spots(toy).xy, upsampled(toy, 1).xy)
    assert at_spots(toy).observed.all()


def test_refinements_that_do_not_exist_are_refused() -> None:
    """Numbers beyond 8 and unknown words are answered with what there is."""
    toy = section("square")
    with pytest.raises(UsageError, match="1 to 8"):
        upsampled(toy, 9)
    with pytest.raises(UsageError, match="symmetric or inner"):
        upsampled(toy, 4, boundary="all")
    with pytest.raises(UsageError, match="paper_literal"):
        upsampled(toy, 4, table="best")
