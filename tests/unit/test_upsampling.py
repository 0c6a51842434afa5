"""Offsets of an upsampled lattice are as far apart as possible."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_samples import section

from histosge.geometry.lattice import Lattice
from histosge.geometry.upsampling import distinct_offsets, maximin_offsets, offsets, separation_um
from histosge.section.locations import upsampled

HEXAGONAL = np.array([[1.0, 0.0], [0.5, 0.75**0.5]])
SQUARE = np.eye(2)
# smallest distance between locations, in pitches, of the best offsets (exhaustive search)
SEPARATIONS = {
    "hexagonal": {2: 0.577, 3: 0.577, 4: 0.500, 5: 0.346, 6: 0.333, 7: 0.378, 8: 0.331},
    "square": {2: 0.707, 3: 0.471, 4: 0.500, 5: 0.447, 6: 0.373, 7: 0.319, 8: 0.354},
}


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
@pytest.mark.parametrize("factor", range(2, 9))
def test_offsets_have_the_separation_of_an_exhaustive_search(kind: str, factor: int) -> None:
    """N distinct offsets, as far apart as the best superlattice or further."""
    basis = HEXAGONAL if kind == "hexagonal" else SQUARE
    lattice = Lattice(kind, np.zeros(2), np.eye(2), basis)  # type: ignore[arg-type]
    steps = offsets(lattice, factor)
    assert len(steps) == len(distinct_offsets(steps)) == factor
    assert separation_um(steps, basis) == pytest.approx(SEPARATIONS[kind][factor], abs=1e-3)
    searched = np.vstack([np.zeros((1, 2)), maximin_offsets(basis, factor)])
    assert len(distinct_offsets(searched)) == factor
    assert separation_um(steps, basis) >= separation_um(searched, basis) - 1e-9


@pytest.mark.parametrize(
    ("table", "number"),
    [("paper_literal", 5), ("published_8fold", 4), ("published_4fold", 4), ("stage_4fold", 3)],
)
def test_published_offset_lists_have_fewer_locations_than_their_name(table: str, number: int) -> None:
    """Equivalent offsets count once: the paper's 8-fold list has five, the code's four, STAGE's three."""
    toy = section("hexagonal")
    assert len(upsampled(toy, 8, table=table)) == number * len(toy)
