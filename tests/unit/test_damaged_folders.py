"""Folders and images that are damaged, contradictory or of the wrong kind are refused in one sentence."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read
from PIL import Image

from histosge.errors import DataError, HistosgeError, UsageError
from histosge.io.readers.tissue_positions import read_positions


def positions(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "spatial" / "tissue_positions.csv")


def cut(path: Path, size: int = 200) -> None:
    path.write_bytes(path.read_bytes()[:size])


def edit(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(positions(folder)).to_csv(folder / "spatial" / "tissue_positions.csv", index=False)


def matrix(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "r+") as file:
        values = file[f"matrix/{name}"][:]
        del file[f"matrix/{name}"]
        file[f"matrix/{name}"] = change(values)


BAD: dict[str, tuple[Callable[[Path], Any], int, str]] = {
    "no matrix": (
        lambda f: (f / "filtered_feature_bc_matrix.h5").unlink(),
        2,
        "filtered_feature_bc_matrix.*Copy one of them from the folder outs",
    ),
    "truncated matrix": (lambda f: cut(f / "filtered_feature_bc_matrix.h5"), 3, "Copy it again|damaged"),
    "no positions": (lambda f: (f / "spatial" / "tissue_positions.csv").unlink(), 2, "recognise|positions"),
    "truncated positions": (lambda f: cut(f / "spatial" / "tissue_positions.csv", 150), 3, "positions"),
    "empty positions": (lambda f: cut(f / "spatial" / "tissue_positions.csv", 0), 3, "Copy it again"),
    "truncated image": (lambda f: cut(f / "spatial" / "tissue_hires_image.png", 5000), 3, "hires"),
    "damaged scale factors": (lambda f: cut(f / "spatial" / "scalefactors_json.json", 20), 3, "scalefactors"),
    "no shared barcode": (
        lambda f: edit(f, lambda t: t.assign(barcode="X" + t.barcode)),
        3,
        "share no barcode",
    ),
    "repeated barcode": (
        lambda f: matrix(f, "barcodes", lambda v: np.array([v[1], *v[1:]])),
        3,
        "more than once",
    ),
    "negative counts": (lambda f: matrix(f, "data", lambda v: -v), 3, "0 or more"),
    "fractions": (lambda f: matrix(f, "data", lambda v: v / 3), 3, "raw integer counts"),
    "NaN": (lambda f: matrix(f, "data", lambda v: v * np.nan), 3, "NaN"),
    "all empty": (lambda f: matrix(f, "data", lambda v: v * 0), 3, "spots with counts"),
    "one spot": (lambda f: edit(f, lambda t: t.iloc[:1]), 3, "got 1"),
    "off tissue": (lambda f: edit(f, lambda t: t.assign(in_tissue=0)), 3, "off tissue"),
    "NaN position": (
        lambda f: edit(f, lambda t: t.assign(pxl_row_in_fullres=t.pxl_row_in_fullres.where(t.index > 0))),
        3,
        "incomplete",
    ),
    "positions of another array": (
        lambda f: edit(
            f, lambda t: t.assign(array_row=t.array_row.sample(frac=1, random_state=0).to_numpy())
        ),
        3,
        "do not belong together",
    ),
}


@pytest.mark.parametrize("harm", BAD)
def test_damaged_folders_are_refused_in_a_sentence(outs: Path, harm: str) -> None:
    """Missing, truncated or contradictory parts give an error with its exit code and a remedy."""
    change, exit_code, sentence = BAD[harm]
    change(outs)
    with pytest.raises(HistosgeError, match=sentence) as caught:
        read(outs)
    assert caught.value.exit_code == exit_code
    assert len(str(caught.value)) < 500


def test_empty_spots_are_dropped_with_a_warning(outs: Path) -> None:
    """Spots without counts are dropped, with a warning; genes without counts stay."""

    def emptied(values: Any) -> Any:
        with h5py.File(outs / "filtered_feature_bc_matrix.h5") as file:
            end = int(file["matrix/indptr"][2])
        values[:end] = 0
        return values

    matrix(outs, "data", emptied)
    section = read(outs)
    assert len(section) == len(TRUTH) - 2
    assert any("2 of" in note.text and note.level == "warning" for note in section.messages)


def test_repeated_genes_are_numbered(outs: Path) -> None:
    """Repeated gene names are numbered as scanpy does, with a message."""
    matrix(outs, "features/name", lambda v: np.array([v[1], *v[1:]]))
    section = read(outs)
    assert section.genes[1] == f"{section.genes[0]}-1"
    assert any("more than once" in note.text for note in section.messages)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: Image.fromarray(np.zeros((50, 50, 4), dtype=np.uint8), "CMYK").save(p / "i.tif"), "CMYK"),
        (lambda p: Image.fromarray(np.zeros((50, 50), dtype=bool)).save(p / "i.tif"), "1-bit|1 bit|bilevel"),
        (lambda p: (p / "i.tif").write_text("no image"), "i.tif"),
        (lambda p: (p / "i.tif").write_bytes(b""), "i.tif"),
    ],
    ids=["CMYK", "1-bit", "text", "empty"],
)
def test_images_of_the_wrong_kind_are_refused(
    outs: Path, tmp_path: Path, make: Callable[[Path], Any], sentence: str
) -> None:
    """CMYK and 1-bit images, and files that are none, are named as such."""
    make(tmp_path)
    with pytest.raises(DataError, match=sentence):
        read(outs, image=tmp_path / "i.tif")


def test_the_hires_image_given_as_full_resolution_is_recognised(outs: Path, tmp_path: Path) -> None:
    """The error names the small image and the size of the full-resolution image."""
    shutil.copy(outs / "spatial" / "tissue_hires_image.png", tmp_path / "slide.png")
    with pytest.raises(DataError, match="is the hires image"):
        read(outs, image=tmp_path / "slide.png")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"image": "nothing.tif"}, "nothing.tif"),
        ({"mpp": -1.0}, "positive"),
        ({"reader": "visum"}, "Did you mean visium"),
    ],
)
def test_wrong_options_are_refused(outs: Path, options: dict[str, Any], sentence: str) -> None:
    """A missing image, a negative scale and an unknown reader are refused."""
    with pytest.raises(UsageError, match=sentence):
        read(outs, **options)


def test_other_folders_are_not_recognised(tmp_path: Path) -> None:
    """An empty folder, a missing path and a file of another format are refused."""
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "notes.txt"):
        with pytest.raises(HistosgeError, match=r"Readers|found nothing"):
            read(path)


@pytest.mark.parametrize("name", ["counts.tsv.gz", "spots.tsv", "image.png"])
def test_damaged_legacy_folders_are_refused(st: Path, name: str) -> None:
    """Each of the three files, truncated, is refused."""
    cut(st / name, 300 if name != "spots.tsv" else 20)
    with pytest.raises(HistosgeError) as caught:
        read(st)
    assert caught.value.exit_code in (2, 3)


def test_counts_without_names_of_genes_are_refused(st: Path) -> None:
    """A table of counts without its first row is not read with the counts of a spot for names of genes."""
    path = st / "counts.tsv.gz"
    lines = gzip.decompress(path.read_bytes()).split(b"\n")
    path.write_bytes(gzip.compress(b"\n".join(lines[1:])))
    with pytest.raises(DataError, match="names of genes in the first row"):
        read(st)


def test_spots_without_counts_are_counted(st: Path) -> None:
    """A spot of the table of spots that the counts lack is named in a message."""
    path = st / "counts.tsv.gz"
    lines = gzip.decompress(path.read_bytes()).split(b"\n")
    path.write_bytes(gzip.compress(b"\n".join([*lines[:3], *lines[4:]])))
    assert any("1 of" in note.text and "have no counts" in note.text for note in read(st).messages)


def test_barcodes_may_be_the_index_of_parquet(outs: Path) -> None:
    """A table of positions with barcodes as its index, as pandas writes it, is read as one with a column."""
    whole = read(outs)
    table = positions(outs).set_index("barcode")
    (outs / "spatial" / "tissue_positions.csv").unlink()
    table.to_parquet(outs / "spatial" / "tissue_positions.parquet")
    assert read(outs).spots.ids.tolist() == whole.spots.ids.tolist()


def test_missing_positions_are_answered_with_where_they_are(tmp_path: Path) -> None:
    """The message names the files and the folder of Space Ranger that holds them."""
    with pytest.raises(UsageError, match=r"tissue_positions.csv.*found none of them\. Copy .* outs/spatial"):
        read_positions(tmp_path)
