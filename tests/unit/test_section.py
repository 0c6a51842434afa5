"""Sections check themselves once, and cannot be changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from histosge.errors import DataError
from histosge.geometry.platforms import VISIUM
from histosge.geometry.points import Points
from histosge.section.section import Section

N_SPOTS, N_GENES = 4, 3


def section(**changes: Any) -> Section:
    xy = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
    counts = sparse.csr_matrix(np.arange(N_SPOTS * N_GENES, dtype=np.float64).reshape(N_SPOTS, N_GENES))
    genes = np.array(["A", "B", "C"])
    spots = Points(xy, np.array(["s0", "s1", "s2", "s3"]), 55.0)
    fields = {"name": "toy", "counts": counts, "genes": genes, "gene_ids": genes, "spots": spots}
    fields |= {"lattice_xy": xy / 100, "lattice": None, "platform": VISIUM, "mpp": 0.5}
    return Section(**(fields | changes))


def test_a_section_is_frozen_all_the_way_down() -> None:
    """Neither its arrays nor its counts can be written to."""
    toy = section()
    for array in (toy.counts.data, toy.spots.xy, toy.lattice_xy, toy.genes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "NaN"), (-1.0, "0 or more"), (0.5, "fractions"), (np.inf, "infinity")]
)
def test_a_section_takes_raw_counts_only(value: float, words: str) -> None:
    """Values that are no counts are refused with the reason."""
    counts = np.ones((N_SPOTS, N_GENES))
    counts[1, 1] = value
    with pytest.raises(DataError, match=words):
        section(counts=sparse.csr_matrix(counts))


def test_a_section_whose_parts_differ_in_length_is_refused() -> None:
    """Counts, genes and spots must agree in number; gene names must be unique; the scale positive."""
    with pytest.raises(DataError, match="4 spots × 3 genes"):
        section(counts=sparse.csr_matrix((N_SPOTS, N_GENES + 1)))
    with pytest.raises(DataError, match="unique gene names"):
        section(genes=np.array(["A", "A", "B"]))
    with pytest.raises(DataError, match="µm per pixel"):
        section(mpp=0.0)


def test_taking_spots_keeps_rows_together() -> None:
    """Row i of counts, spots and lattice positions is the same spot."""
    toy = section()
    part = toy.take(np.array([2, 0]))
    assert list(part.spots.ids) == ["s2", "s0"]
    assert np.array_equal(part.counts.toarray(), toy.counts.toarray()[[2, 0]])
    assert np.array_equal(part.lattice_xy, toy.lattice_xy[[2, 0]])


def test_the_fingerprint_of_a_section_follows_its_content() -> None:
    """The same content has the same fingerprint; a changed count, position or scale another one."""
    toy = section()
    counts = toy.counts.toarray()
    counts[0, 0] += 1
    changed = [
        section(counts=sparse.csr_matrix(counts)),
        section(mpp=0.6),
        replace(toy, spots=Points(toy.spots.xy + 1, toy.spots.ids, 55.0)),
    ]
    assert toy.fingerprint == section().fingerprint
    assert len({toy.fingerprint, *(item.fingerprint for item in changed)}) == 4


def test_without_a_lattice_the_pitch_is_the_distance_to_the_nearest_spot() -> None:
    """Irregular positions have a pitch too."""
    assert section().pitch_um == 100.0
