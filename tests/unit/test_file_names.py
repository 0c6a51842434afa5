"""Files under the names of archives are read, and several candidates for one file are listed, not chosen from."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read
from PIL import Image

from histosge.datasets.synthetic import write_legacy_st
from histosge.errors import DataError, UsageError

POSITIONS = "spatial/tissue_positions.csv"


def pack(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def flat(outs: Path, prefix: str = "GSM1_S1_") -> Path:
    """Return a folder with all files of a sample, prefixed, as archives keep them."""
    folder = outs.parent / "flat"
    folder.mkdir(exist_ok=True)
    for path in (outs / "filtered_feature_bc_matrix.h5", *(outs / "spatial").iterdir()):
        shutil.copy(path, folder / f"{prefix}{path.name}")
    return folder


def same(path: Path) -> None:
    section = read(path)
    assert (section.counts != TRUTH.counts).nnz == 0
    assert np.abs(section.spots.xy - TRUTH.spots.xy).max() < 1
    assert section.slide is not None


def test_a_flat_folder_of_prefixed_files_is_read(outs: Path) -> None:
    """All files in one folder with GSM…_ before their names are one section."""
    same(flat(outs))


@pytest.mark.parametrize("what", ["spatial", "all"])
def test_compressed_files_are_read(outs: Path, what: str) -> None:
    """Positions, scale factors, images and the matrix may end in .gz."""
    for path in list((outs / "spatial").iterdir()):
        pack(path)
    if what == "all":
        pack(outs / "filtered_feature_bc_matrix.h5")
    same(outs)


def test_two_samples_in_one_folder_are_refused(outs: Path) -> None:
    """Two prefixes are two sections; the error lists the candidates."""
    flat(outs)
    with pytest.raises(UsageError, match=r"several samples: GSM1_S1, GSM2_S2"):
        read(flat(outs, "GSM2_S2_"))


def test_a_matrix_and_positions_of_different_samples_are_refused(outs: Path) -> None:
    """A matrix of one prefix beside positions of another one is an error."""
    folder = flat(outs)
    matrix = folder / "GSM1_S1_filtered_feature_bc_matrix.h5"
    matrix.rename(folder / "GSM2_S2_filtered_feature_bc_matrix.h5")
    with pytest.raises(UsageError, match="different samples"):
        read(folder)


def test_positions_files_that_differ_are_refused(outs: Path) -> None:
    """Two positions files with the same spots are fine; with others, both are named."""
    table = pd.read_csv(outs / POSITIONS)
    other = outs / "spatial" / "tissue_positions_list.csv"
    table.to_csv(other, header=False, index=False)
    same(outs)
    table.assign(pxl_row_in_fullres=table.pxl_row_in_fullres + 50).to_csv(other, header=False, index=False)
    with pytest.raises(UsageError, match=r"tissue_positions.csv, tissue_positions_list.csv"):
        read(outs)


def test_two_images_of_one_size_are_refused(outs: Path) -> None:
    """Two hires images are listed."""
    Image.new("RGB", (9, 9)).save(outs / "spatial" / "tissue_hires_image.jpg")
    with pytest.raises(UsageError, match=r"tissue_hires_image.png, tissue_hires_image.jpg"):
        read(outs)


@pytest.mark.parametrize("form", ["index", "r", "r without header", "boolean", "byte order mark"])
def test_positions_written_by_pandas_and_r_are_read(outs: Path, form: str) -> None:
    """Row numbers, quotes, barcodes as index, TRUE and FALSE, and a byte-order mark change nothing."""
    path = outs / POSITIONS
    table = pd.read_csv(path)
    if form == "index":
        table.set_index("barcode").rename_axis(None).to_csv(path)
    elif form == "r":
        table.to_csv(path, quoting=1)
    elif form == "r without header":
        table.set_axis([f"V{i}" for i in range(1, 7)], axis=1).to_csv(path, quoting=1)
    elif form == "boolean":
        table.assign(in_tissue="TRUE").to_csv(path, index=False)
    else:
        table.to_csv(path, index=False, encoding="utf-8-sig")
    same(outs)


@pytest.mark.parametrize(
    ("name", "copy", "sentence"),
    [
        ("counts.tsv.gz", "A_counts.tsv.gz", None),
        ("spots.tsv", "A_spots.tsv", None),
        ("image.png", "image.jpg", "several images: .*image"),
    ],
)
def test_legacy_folders_with_several_candidates(
    tmp_path: Path, name: str, copy: str, sentence: str | None
) -> None:
    """The usual name wins; without it, or with two images, candidates are listed."""
    folder = write_legacy_st(TRUTH, tmp_path / "st")
    path = next(folder.glob(f"{name.partition('.')[0]}.*"))
    copy = copy if sentence else f"A_{path.name}"
    shutil.copy(path, folder / (copy if path.name != copy else "image.jpeg"))
    if sentence is None:
        assert len(read(folder)) == len(TRUTH)
        path.rename(folder / f"B_{path.name}")
        sentence = "several tables"
    with pytest.raises(UsageError, match=sentence):
        read(folder)


def test_a_square_lattice_is_not_taken_for_visium(tmp_path: Path, outs: Path) -> None:
    """Other arrays in Space Ranger's folders need `mpp`: the pitch of Visium is not theirs."""
    path = outs / POSITIONS
    table = pd.read_csv(path)
    row, column = np.divmod(np.arange(len(table)), 12)
    table = table.assign(array_row=row + 1, array_col=column + 1)
    table = table.assign(pxl_row_in_fullres=200 + 220 * row, pxl_col_in_fullres=200 + 220 * column)
    table.to_csv(path, index=False)
    with pytest.raises(UsageError, match="square lattice"):
        read(outs)
    section = read(outs, mpp=0.5, trust_alignment=True)
    assert section.platform.name == "unknown"
    assert section.pitch_um == pytest.approx(110)


def test_a_damaged_row_is_not_quoted_whole(outs: Path) -> None:
    """A row of thousands of letters leaves a sentence that can be read."""
    path = outs / POSITIONS
    table = pd.read_csv(path, dtype=str)
    table.loc[3, "array_row"] = "a" * 5000
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match="no positions file") as error:
        read(outs)
    assert len(str(error.value)) < 600
