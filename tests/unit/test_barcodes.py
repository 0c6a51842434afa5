"""A count matrix and positions of different sections are refused, and so are several sections in one matrix."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read

from histosge.errors import DataError, HistosgeWarning
from histosge.io.readers import read as read_aloud

POSITIONS = "spatial/tissue_positions.csv"


def rename(folder: Path, names: list[str]) -> None:
    """Give the matrix other barcodes."""
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "r+") as file:
        del file["matrix/barcodes"]
        file["matrix/barcodes"] = np.array(names, dtype="S")


@pytest.mark.parametrize("every", [2, 1], ids=["-1 and -2", "all -2"])
def test_aggregated_matrices_are_refused(outs: Path, every: int) -> None:
    """Barcodes that end in -2 are of another section than positions that end in -1: the error says aggregated."""
    rename(outs, [name[:-1] + ("2" if i % every == 0 else "1") for i, name in enumerate(TRUTH.spots.ids)])
    with pytest.raises(DataError, match="aggregated"):
        read(outs)


def test_counts_of_another_section_are_refused(outs: Path) -> None:
    """A filtered matrix with barcodes off tissue, and spots on tissue without counts: of different sections."""
    table = pd.read_csv(outs / POSITIONS)
    table.loc[:9, "in_tissue"] = 0
    other = table.iloc[-8:].assign(
        barcode=[f"SPOT-900x{i:03d}-1" for i in range(8)], array_row=90, in_tissue=1
    )
    pd.concat([table, other]).to_csv(outs / POSITIONS, index=False)
    with pytest.raises(
        DataError, match=r"10 of 135 barcodes .* off tissue, and 8 of 133 .* different sections"
    ):
        read(outs)


def test_many_barcodes_off_tissue_are_refused(outs: Path) -> None:
    """A fifth of a filtered matrix off tissue is of a section with more tissue, though every other spot has counts."""
    table = pd.read_csv(outs / POSITIONS)
    table.loc[:29, "in_tissue"] = 0
    table.to_csv(outs / POSITIONS, index=False)
    with pytest.raises(DataError, match="different sections"):
        read(outs)


def test_a_few_spots_off_tissue_are_left_out_with_a_warning(outs: Path) -> None:
    """Five spots edited to be off tissue are left out; the warning counts them."""
    table = pd.read_csv(outs / POSITIONS)
    table.loc[:4, "in_tissue"] = 0
    table.to_csv(outs / POSITIONS, index=False)
    with pytest.warns(HistosgeWarning, match="5 of 135 barcodes"):
        assert len(read_aloud(outs)) == len(TRUTH) - 5


def test_the_raw_matrix_may_hold_spots_off_tissue(outs: Path) -> None:
    """A raw matrix holds all spots of the array, so that those off tissue prove nothing."""
    (outs / "filtered_feature_bc_matrix.h5").rename(outs / "raw_feature_bc_matrix.h5")
    table = pd.read_csv(outs / POSITIONS)
    table.loc[:29, "in_tissue"] = 0
    table.to_csv(outs / POSITIONS, index=False)
    assert len(read(outs)) == len(TRUTH) - 30
