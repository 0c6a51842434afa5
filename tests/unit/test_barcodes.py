"""A count matrix and positions of different sections are refused, and so are several sections in one matrix."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read
from scipy import io, sparse

from histosge.errors import DataError, HistosgeWarning, UsageError
from histosge.io.readers import read as read_aloud
from histosge.io.readers.barcodes import raw_messages, seems_raw

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


def test_a_raw_matrix_with_its_counts_off_tissue_is_a_warning() -> None:
    """Counts elsewhere than on tissue may be another section's; those of few spots say nothing."""
    in_tissue = np.arange(100) < 50
    assert raw_messages(np.where(in_tissue, 900, 10), in_tissue) == ()
    (message,) = raw_messages(np.where(in_tissue, 10, 900), in_tissue)
    assert "same section" in message.text
    assert raw_messages(np.where(in_tissue, 10, 900)[:60], in_tissue[:60]) == ()


def test_a_matrix_without_a_name_is_raw_where_it_holds_all_spots() -> None:
    """All spots off tissue: raw; some of them: a filtered matrix of another section."""
    in_tissue = np.arange(100) < 50
    assert seems_raw(np.arange(100), in_tissue)
    assert not seems_raw(np.arange(30, 80), in_tissue)
    assert not seems_raw(np.arange(50), in_tissue[:50])


def flat_mtx(outs: Path, *, off: int, more: int, prefix: str) -> Path:
    """Return a flat folder with a prefixed mtx of all spots; ``off`` of them are off tissue, and ``more`` others."""
    folder = outs.parent / "flat"
    folder.mkdir()
    table = pd.read_csv(outs / POSITIONS)
    table.loc[: off - 1, "in_tissue"] = 0
    extra = table.iloc[:more].assign(
        barcode=[f"SPOT-900x{i:03d}-1" for i in range(more)], array_row=90, in_tissue=0
    )
    pd.concat([table, extra]).to_csv(folder / "GSM1_tissue_positions_list.csv", header=False, index=False)
    io.mmwrite(folder / f"{prefix}matrix.mtx", sparse.coo_matrix(TRUTH.counts.T.astype(int)))
    (folder / f"{prefix}barcodes.tsv").write_text("".join(f"{name}\n" for name in TRUTH.spots.ids))
    (folder / f"{prefix}features.tsv").write_text(
        "".join(f"{g}\t{g}\tGene Expression\n" for g in TRUTH.genes)
    )
    return folder


@pytest.mark.parametrize("prefix", ["GSM1_", "GSM1_filtered_feature_bc_matrix_"])
def test_a_prefixed_matrix_of_another_section_is_refused(outs: Path, prefix: str) -> None:
    """A flat mtx that holds some spots off tissue, and not the others, is a filtered one of another section."""
    with pytest.raises(DataError, match="different sections"):
        read(flat_mtx(outs, off=30, more=60, prefix=prefix))


@pytest.mark.parametrize("prefix", ["GSM1_", "GSM1_raw_feature_bc_matrix_"])
def test_a_prefixed_raw_matrix_is_read(outs: Path, prefix: str) -> None:
    """A flat mtx of all spots is a raw one, whether its name says so or not."""
    assert len(read(flat_mtx(outs, off=30, more=0, prefix=prefix))) == len(TRUTH) - 30


@pytest.mark.parametrize("what", ["same", "barcodes", "counts"])
def test_hdf5_and_mtx_beside_it_hold_the_same_counts(outs: Path, what: str) -> None:
    """Two matrices in one folder are compared by barcodes and by the counts of each."""
    folder = outs / "filtered_feature_bc_matrix"
    folder.mkdir()
    counts = TRUTH.counts.T.astype(int).tolil()
    counts[0, 0] += what == "counts"
    names = list(TRUTH.spots.ids)
    names[0] = "SPOT-900x900-1" if what == "barcodes" else names[0]
    io.mmwrite(folder / "matrix.mtx", sparse.coo_matrix(counts))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in names))
    (folder / "genes.tsv").write_text("".join(f"{gene}\t{gene}\n" for gene in TRUTH.genes))
    if what == "same":
        assert len(read(outs)) == len(TRUTH)
        return
    with pytest.raises(UsageError, match=f"different {what}"):
        read(outs)
