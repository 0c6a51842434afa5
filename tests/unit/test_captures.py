"""Several capture areas of one slide become one section, and others are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import histosge as hs
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points

SECTION = hs.synthetic(columns=12, rows=10, genes=12).section
IS_WEST = SECTION.spots.xy[:, 0] < 600
WEST, EAST = SECTION.take(IS_WEST), SECTION.take(~IS_WEST)


def test_joined_captures_hold_all_spots_and_common_genes() -> None:
    """Rows are those of the captures in their order; genes that one lacks are left out, and the message counts them."""
    order = np.arange(12)[::-1][:9]
    few = replace(EAST, counts=EAST.counts[:, order], genes=EAST.genes[order], gene_ids=EAST.gene_ids[order])
    joined = hs.joined_captures([WEST, few])
    names = WEST.genes[3:]
    assert joined.genes.tolist() == names.tolist()
    expected = np.vstack([WEST.counts.toarray()[:, 3:], EAST.counts.toarray()[:, 3:]])
    assert np.array_equal(joined.counts.toarray(), expected)
    assert np.array_equal(joined.spots.xy, np.vstack([WEST.spots.xy, EAST.spots.xy]))
    assert joined.lattice is None
    assert f"{len(SECTION)} spots, 9 genes that all have" in joined.messages[-1].text


def test_captures_with_the_same_barcodes_keep_them_apart() -> None:
    """Names of spots stay unique."""
    names = [np.array([f"SPOT-{row}" for row in range(len(part))]) for part in (WEST, EAST)]
    parts = [
        replace(part, spots=Points(part.spots.xy, ids, part.spots.diameter_um))
        for part, ids in zip((WEST, EAST), names, strict=True)
    ]
    ids = hs.joined_captures(parts).spots.ids
    assert len(set(ids.tolist())) == len(SECTION)
    assert ids[0].startswith("capture1_")


def test_what_is_no_capture_of_the_same_slide_is_refused() -> None:
    """One section alone, twice the same, another image, and another kind of spots."""
    with pytest.raises(UsageError, match="at least two captures"):
        hs.joined_captures([WEST])
    with pytest.raises(DataError, match="do not refer to one image"):
        hs.joined_captures([WEST, WEST])
    with pytest.raises(UsageError, match="do not have the same image"):
        hs.joined_captures([WEST, replace(EAST, slide=None)])
    with pytest.raises(UsageError, match="one width of bins"):
        hs.joined_captures([WEST, replace(EAST, platform=replace(EAST.platform, name="other"))])
