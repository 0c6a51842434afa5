"""A Visium HD section of a synthetic tissue has the layout, the depth and the truth that it says."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from histosge.cli import commands
from histosge.datasets.visium_hd import BINS_UM, HDCapture, write_visium_hd
from histosge.errors import UsageError
from histosge.io.readers import read

CAPTURE = HDCapture(side_mm=0.24, margin_mm=0.0, genes=120, molecules=150.0, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The section."""
    return write_visium_hd(tmp_path_factory.mktemp("hd") / "section", CAPTURE, mpp=1.0)


def test_bins_of_all_widths_hold_the_same_molecules(folder: Path) -> None:
    """Each bin holds the molecules of the squares of 2 µm in it."""
    totals = []
    for bin_um in BINS_UM:
        section = read(folder / "outs", bin_um=bin_um)
        column, row = section.lattice_xy.T // (16 / bin_um)
        total = np.zeros((16, 16))
        np.add.at(
            total, (row.astype(int), column.astype(int)), np.asarray(section.counts.sum(axis=1)).ravel()
        )
        totals.append(total)
    assert totals[0].sum() > 0
    assert all(np.array_equal(total, totals[0]) for total in totals)


def test_files_are_those_of_space_ranger(folder: Path) -> None:
    """Names, attributes, columns and scale factors are those of a real section of 10x Genomics."""
    bins = folder / "outs/binned_outputs/square_008um"
    with h5py.File(bins / "filtered_feature_bc_matrix.h5") as file:
        assert file["matrix/barcodes"][0].decode().startswith("s_008um_000")
        assert file["matrix/shape"][:].tolist() == [120, len(file["matrix/barcodes"])]
        assert file.attrs["chemistry_description"] == "Visium HD v1"
    table = pq.read_table(bins / "spatial/tissue_positions.parquet")
    assert table.column_names == [
        "barcode",
        "in_tissue",
        "array_row",
        "array_col",
        "pxl_row_in_fullres",
        "pxl_col_in_fullres",
    ]
    assert len(table) == 32**2 > sum(table["in_tissue"].to_pylist())
    factors = json.loads((bins / "spatial/scalefactors_json.json").read_text())
    assert factors["microns_per_pixel"] == 1.0
    assert factors["bin_size_um"] == 8.0


def test_counts_follow_the_truth(folder: Path) -> None:
    """Means over the section are those of the truth at the middles of the bins, in the frame of the image."""
    section = read(folder / "outs", bin_um=8, image=folder / "tissue_image.tif")
    rates = np.expm1(CAPTURE.tissue.truth(section.spots.xy)) / 1e4
    assert np.allclose(rates.sum(axis=1), 1.0, atol=1e-3)
    counts = np.asarray(section.counts.sum(axis=0)).ravel()
    expected = np.asarray(section.counts.sum(axis=1)).ravel() @ rates
    many = expected > 250
    assert many.sum() > 20
    assert np.abs(counts / expected - 1)[many].max() < 5 * 250**-0.5
    assert section.slide is not None
    assert section.slide.mpp == pytest.approx(1.0)


def test_the_same_capture_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    """Nothing depends on the time or the process; another seed gives another tissue."""
    again = write_visium_hd(tmp_path / "again", CAPTURE, mpp=1.0)
    name = "outs/binned_outputs/square_016um/filtered_feature_bc_matrix.h5"
    with h5py.File(folder / name) as first, h5py.File(again / name) as second:
        assert np.array_equal(first["matrix/data"][:], second["matrix/data"][:])
    assert filecmp.cmp(folder / "tissue_image.tif", again / "tissue_image.tif", shallow=False)
    other = HDCapture(0.4, genes=120, seed=4)
    assert not np.array_equal(other.tissue.level, CAPTURE.tissue.level)


def test_the_command_replaces_only_its_own_folders(tmp_path: Path) -> None:
    """A folder with other files is refused; sizes that no slide has, too."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    run = CliRunner().invoke(commands(), ["make-visium-hd", str(tmp_path / "mine"), "--side-mm", "0.1"])
    assert run.exit_code != 0
    assert (tmp_path / "mine/notes.txt").exists()
    with pytest.raises(UsageError, match=r"side of 0.1 to 50 mm"):
        HDCapture(side_mm=-1)
