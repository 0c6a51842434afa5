"""Bad input of every kind ends in one sentence that names what is wrong, with the right exit code."""

from __future__ import annotations

import gzip
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from scipy import io, sparse

import histosge
from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.datasets.synthetic import write_legacy_st, write_spaceranger
from histosge.errors import DataError, HistosgeError, UsageError
from histosge.images.slide import SlideImage, open_slide
from histosge.io.readers.spaceranger import read_scalefactors
from histosge.section.alignment import refuse_misaligned
from histosge.section.section import Section

TRUTH = synthetic(columns=14, rows=14, genes=30).section
SQUARE = synthetic(columns=8, rows=8, genes=20, lattice="square").section
assert TRUTH.slide is not None
HIRES = TRUTH.slide.thumbnail(TRUTH.slide.mpp)
# the image whose pixels the coordinates count
FULL = np.asarray(Image.fromarray(HIRES).resize((HIRES.shape[1] * 4, HIRES.shape[0] * 4)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Space Ranger folder that no test changes."""
    return write_spaceranger(TRUTH, tmp_path_factory.mktemp("written") / "outs")


@pytest.fixture
def outs(written: Path, tmp_path: Path) -> Path:
    """A Space Ranger folder of the test's own."""
    return Path(copytree(written, tmp_path / "outs"))


def read(path: Path, **options: Any) -> Section:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return histosge.read(path, **options)


@contextmanager
def section_or_sentence() -> Iterator[list[HistosgeError]]:
    """Collect the package's own error, if there is one; any other ends the test."""
    said: list[HistosgeError] = []
    try:
        yield said
    except HistosgeError as error:
        said.append(error)


def warned(section: Section) -> str:
    return " ".join(note.text for note in section.messages if note.level == "warning")


# --- an image of another size ---------------------------------------------------------------------------------


def resized(rgb: Array, factor: float) -> Array:
    size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
    return np.asarray(Image.fromarray(rgb).resize(size))


def save(rgb: Array, path: Path) -> None:
    """Write a PNG that takes no time to compress."""
    Image.fromarray(np.ascontiguousarray(rgb)).save(path, compress_level=0)


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (lambda: FULL, None),
        (lambda: HIRES, "is the hires image"),
        (lambda: resized(FULL, 0.5), "0.5 times as large"),
        (lambda: resized(FULL, 2.0), "2 times as large"),
        (lambda: resized(FULL, 0.98), "0.9[78].* times as large"),
        (lambda: FULL[FULL.shape[0] // 50 :, FULL.shape[1] // 50 :], "it should have about"),
        (lambda: np.rot90(FULL), "rotated by 90°"),
        (lambda: FULL[:, : FULL.shape[1] // 2], "not the image of the coordinates"),
        (lambda: FULL[:, ::-1], "mirrored left to right"),
        (lambda: FULL[::-1, ::-1], "rotated by 180°"),
        (lambda: np.full_like(FULL, 240), "one colour"),
        (lambda: np.zeros_like(FULL), "one colour"),
    ],
    ids=[
        "right",
        "hires",
        "half",
        "double",
        "a fiftieth smaller",
        "a fiftieth cut off",
        "turned",
        "cropped",
        "mirrored",
        "upside down",
        "white",
        "black",
    ],
)
def test_only_the_image_of_the_coordinates_is_accepted(
    outs: Path, tmp_path: Path, picture: Callable[[], Array], sentence: str | None
) -> None:
    """Smaller and larger copies, turned, cropped, mirrored and empty images are each called by their name."""
    save(picture(), tmp_path / "given.png")
    if sentence is None:
        assert read(outs, image=tmp_path / "given.png").slide is not None
        return
    with pytest.raises(DataError, match=sentence):
        read(outs, image=tmp_path / "given.png")


def test_a_full_resolution_image_named_hires_is_refused(outs: Path) -> None:
    """A full-resolution image named hires disagrees with the lowres image and the scale factors."""
    save(FULL, outs / "spatial" / "tissue_hires_image.png")
    with pytest.raises(DataError, match="4 times as large"):
        read(outs)


def test_an_image_of_another_size_is_accepted_on_request(outs: Path, tmp_path: Path) -> None:
    """With ``trust_alignment`` the image is used, with a warning."""
    save(resized(FULL, 2.0), tmp_path / "given.png")
    assert "2 times as large" in warned(read(outs, image=tmp_path / "given.png", trust_alignment=True))


def test_a_scale_factor_of_few_digits_explains_as_much_as_it_was_rounded(outs: Path, tmp_path: Path) -> None:
    """With three digits both sides may differ by what rounding takes, but a part that is missing still shows."""
    path = outs / "spatial" / "scalefactors_json.json"
    factors = json.loads(path.read_text())
    path.write_text(
        json.dumps(factors | {"tissue_hires_scalef": round(factors["tissue_hires_scalef"], 3) + 4e-4})
    )
    save(FULL, tmp_path / "given.png")
    assert read(outs, image=tmp_path / "given.png").slide is not None
    save(FULL[FULL.shape[0] // 50 :], tmp_path / "given.png")
    with pytest.raises(DataError, match="it should have about"):
        read(outs, image=tmp_path / "given.png")


def test_positions_in_micrometres_are_refused(outs: Path) -> None:
    """Neighbours 100 apart, and spots as wide in pixels as no spot is in µm: the message names µm."""
    section = read(outs)
    path = outs / "spatial" / "tissue_positions.csv"
    table = pd.read_csv(path)
    columns = ["pxl_row_in_fullres", "pxl_col_in_fullres"]
    path.write_text(table.assign(**{name: table[name] * section.mpp for name in columns}).to_csv(index=False))
    with pytest.raises(DataError, match="positions count µm"):
        read(outs)
    assert "positions count µm" in warned(read(outs, trust_alignment=True))


def test_coordinates_of_a_smaller_copy_are_suspected() -> None:
    """With hires pixels in place of full-resolution pixels, spots fill a corner of the image, off the tissue."""
    section = synthetic().section
    assert section.slide is not None
    image = section.slide.thumbnail(4.0)
    blank = np.full((3 * image.shape[0], 3 * image.shape[1], 3), 242, dtype=np.uint8)
    blank[image.shape[0] : 2 * image.shape[0], image.shape[1] : 2 * image.shape[1]] = image
    with pytest.raises(DataError, match="smaller copy"):
        refuse_misaligned(replace(section, slide=SlideImage.from_array(blank, 4.0)))


# --- Space Ranger folders -------------------------------------------------------------------------------------


def edited(**columns: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "spatial" / "tissue_positions.csv"
        pd.read_csv(path).assign(**columns).to_csv(path, index=False)

    return change


@pytest.mark.parametrize(
    "columns",
    [
        {"pxl_row_in_fullres": 5, "pxl_col_in_fullres": 5},
        {"pxl_row_in_fullres": 5},
        {"array_row": 5, "array_col": 5},
        {"array_row": 4},
    ],
    ids=["one location", "a line", "one site", "one row"],
)
def test_spots_that_span_no_area_are_refused(outs: Path, columns: dict[str, int]) -> None:
    """Spots at one point or on one line, in pixels or on the array, are refused."""
    edited(**columns)(outs)
    with pytest.raises(DataError, match="spread over an area"):
        read(outs)


def test_swapped_columns_are_recognised(outs: Path) -> None:
    """With x and y swapped, spots lie outside the image, and the error says so."""
    path = outs / "spatial" / "tissue_positions.csv"
    table = pd.read_csv(path)
    names = {
        "pxl_row_in_fullres": "pxl_col_in_fullres",
        "pxl_col_in_fullres": "pxl_row_in_fullres",
    }
    table.rename(columns=names).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"x and y swapped|transposed"):
        read(outs)


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity"])
def test_impossible_scale_factors_are_refused(outs: Path, value: str) -> None:
    """A scale is a positive number; the sentence names the file."""
    text = f'{{"tissue_hires_scalef": {value}}}'
    (outs / "spatial" / "scalefactors_json.json").write_text(text)
    with pytest.raises(DataError, match=r"positive tissue_hires_scalef in .*scalefactors_json\.json"):
        read(outs)


def test_images_without_scale_factors_are_left_out_aloud(outs: Path) -> None:
    """The section is read, with a warning for its missing image."""
    (outs / "spatial" / "scalefactors_json.json").unlink()
    section = read(outs)
    assert section.slide is None
    assert "scalefactors_json.json" in warned(section)
    assert read_scalefactors(outs / "spatial") == {}


@pytest.mark.parametrize("mpp", [float("nan"), float("inf"), 0.0, -1.0])
def test_impossible_scales_are_refused(outs: Path, mpp: float) -> None:
    """µm per pixel is a positive number."""
    with pytest.raises(UsageError, match="positive"):
        read(outs, mpp=mpp)


@pytest.mark.parametrize("name", ["matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"])
@pytest.mark.parametrize("harm", ["cut", "bits", "gone"])
def test_damaged_matrix_folders_are_refused(outs: Path, name: str, harm: str) -> None:
    """Each file of the folder is truncated, has flipped bits, or is missing."""
    (outs / "filtered_feature_bc_matrix.h5").unlink()
    folder = outs / "filtered_feature_bc_matrix"
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        io.mmwrite(stream, sparse.coo_matrix(TRUTH.counts.T.astype(int)))
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as stream:
        stream.write("".join(f"{barcode}\n" for barcode in TRUTH.spots.ids))
    with gzip.open(folder / "features.tsv.gz", "wt") as stream:
        stream.write("".join(f"{gene}\t{gene}\tGene Expression\n" for gene in TRUTH.genes))
    assert len(read(outs)) == len(TRUTH)
    content = bytearray((folder / name).read_bytes())
    if harm == "gone":
        (folder / name).unlink()
    elif harm == "cut":
        (folder / name).write_bytes(content[: len(content) // 2])
    else:
        for index in np.random.default_rng(1).integers(20, len(content), 20):
            content[index] ^= 0xFF
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read(outs)


# --- legacy ST ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["x", "pixel_y"])
@pytest.mark.parametrize("value", [np.nan, "a"])
def test_legacy_spots_without_numbers_are_refused(tmp_path: Path, column: str, value: Any) -> None:
    """A missing number or a word among the positions: the row is named."""
    folder = write_legacy_st(SQUARE, tmp_path / "st")
    table = pd.read_csv(folder / "spots.tsv", sep="\t").astype({column: object})
    table.loc[3, column] = value
    table.to_csv(folder / "spots.tsv", sep="\t", index=False)
    with pytest.raises(DataError, match="row 4"):
        read(folder)


# --- AnnData --------------------------------------------------------------------------------------------------


def adata() -> anndata.AnnData:
    data = anndata.AnnData(TRUTH.counts.astype(np.float32).tocsr())
    data.obs_names, data.var_names = TRUTH.spots.ids.astype(object), TRUTH.genes.astype(object)
    data.obs["array_col"], data.obs["array_row"] = TRUTH.lattice_xy.astype(int).T
    data.obs["in_tissue"] = 1
    data.obsm["spatial"] = np.array(TRUTH.spots.xy / TRUTH.mpp)
    factors = {"tissue_hires_scalef": TRUTH.mpp / 2.0, "spot_diameter_fullres": 55 / TRUTH.mpp}
    data.uns["spatial"] = {"lib": {"images": {"hires": HIRES}, "scalefactors": factors}}
    return data


def set_in(library: str, key: str, value: Any) -> Callable[[anndata.AnnData], Any]:
    return lambda data: data.uns["spatial"]["lib"][library].__setitem__(key, value)


HARM: dict[str, tuple[Callable[[anndata.AnnData], Any], str]] = {
    "one coordinate": (lambda d: d.obsm.__setitem__("spatial", d.obsm["spatial"][:, :1]), "x and y"),
    "in_tissue words": (lambda d: d.obs.__setitem__("in_tissue", "yes"), "0 or 1"),
    "in_tissue missing": (lambda d: d.obs.__setitem__("in_tissue", np.nan), "missing values"),
    "in_tissue nowhere": (lambda d: d.obs.__setitem__("in_tissue", 0), "off tissue"),
    "array with gaps": (lambda d: d.obs.__setitem__("array_col", np.nan), r"numbers in obs\['array_col'\]"),
    "scale 0": (set_in("scalefactors", "tissue_hires_scalef", 0.0), "positive tissue_hires_scalef"),
    "scale below 0": (set_in("scalefactors", "tissue_hires_scalef", -1.0), "positive tissue_hires_scalef"),
    "image of NaN": (set_in("images", "hires", np.full((20, 20, 3), np.nan)), "NaN"),
}


@pytest.mark.parametrize("harm", HARM)
def test_unusable_anndata_are_refused(tmp_path: Path, harm: str) -> None:
    """Columns, coordinates and images of the wrong kind are refused."""
    change, sentence = HARM[harm]
    data = adata()
    change(data)
    data.write_h5ad(tmp_path / "bad.h5ad")
    with pytest.raises(DataError, match=sentence):
        read(tmp_path / "bad.h5ad")


@pytest.mark.parametrize("seed", range(6))
def test_an_h5ad_with_flipped_bits_is_refused_or_read(tmp_path: Path, seed: int) -> None:
    """Random changes of bytes give a section or an error of the package."""
    adata().write_h5ad(tmp_path / "a.h5ad")
    content = bytearray((tmp_path / "a.h5ad").read_bytes())
    for index in np.random.default_rng(seed).integers(0, len(content), 300):
        content[index] ^= 0xFF
    (tmp_path / "a.h5ad").write_bytes(content)
    with section_or_sentence() as said:
        read(tmp_path / "a.h5ad")
    assert all(error.exit_code == 3 and "\n" not in str(error) for error in said)


def test_flags_as_text_are_understood(tmp_path: Path) -> None:
    """``"1"`` and ``True`` mean on tissue, as in files that went through a table."""
    for value in ("1", True, "True"):
        data = adata()
        data.obs["in_tissue"] = pd.Categorical([value] * data.n_obs) if isinstance(value, str) else value
        data.write_h5ad(tmp_path / "text.h5ad")
        assert len(read(tmp_path / "text.h5ad")) == len(TRUTH)


def test_raw_may_hold_more_genes_than_x(tmp_path: Path) -> None:
    """With all genes in ``raw`` and variable ones in ``X``, the raw counts of all genes are read."""
    whole = adata()
    part = whole[:, 5:20].copy()
    part.raw = whole
    part.X = part.X * 0.37
    part.write_h5ad(tmp_path / "raw.h5ad")
    section = read(tmp_path / "raw.h5ad")
    order = np.argsort(section.spots.ids), np.argsort(TRUTH.spots.ids)
    assert (section.counts[order[0]] != TRUTH.counts[order[1]]).nnz == 0


# --- TIFF -----------------------------------------------------------------------------------------------------


def test_a_stack_of_images_is_refused(tmp_path: Path) -> None:
    """A stack of five planes of one size is refused."""
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 64, 64), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match="stack of 5"):
        open_slide(tmp_path / "stack.tif", mpp=1.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_tiff_with_a_damaged_directory_is_a_sentence(
    tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Flipped bytes in the header and the directory: pixels or one sentence, and nothing else on the screen."""
    path = tmp_path / "d.tif"
    tifffile.imwrite(path, FULL[:300, :300], photometric="rgb", tile=(64, 64), compression="zlib")
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    start = int.from_bytes(content[4:8], "little")
    for index in [*rng.integers(2, 16, 1), *(start + rng.integers(0, 200, 3))]:
        if index < len(content):
            content[index] ^= int(rng.integers(1, 255))
    path.write_bytes(content)
    with section_or_sentence() as said:
        open_slide(path, mpp=1.0).read(np.array([90.0, 90.0]), 60.0, 60)
    assert all(error.exit_code == 3 for error in said)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("size", [4, 6, 8, 12])
def test_a_tiff_of_a_few_bytes_is_a_sentence(tmp_path: Path, size: int) -> None:
    """Cut off within its header."""
    tifffile.imwrite(tmp_path / "c.tif", HIRES)
    (tmp_path / "c.tif").write_bytes((tmp_path / "c.tif").read_bytes()[:size])
    with pytest.raises(DataError, match=r"c\.tif"):
        open_slide(tmp_path / "c.tif", mpp=1.0)


# --- SpatialData ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part", ["tables/table/zarr.json", "tables/table/X/data", "shapes/spots/shapes.parquet"]
)
def test_a_damaged_spatialdata_store_is_a_sentence(tmp_path: Path, part: str) -> None:
    """A store without one of its parts is refused."""
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel
    from spatialdata.transformations import Identity

    data = adata()
    del data.uns["spatial"]
    data.obs["region"] = pd.Categorical(["spots"] * len(TRUTH))
    data.obs["instance"] = np.arange(len(TRUTH))
    shapes = ShapesModel.parse(
        np.asarray(data.obsm["spatial"]), geometry=0, radius=55.0, transformations={"global": Identity()}
    )
    table = TableModel.parse(data, region="spots", region_key="region", instance_key="instance")
    SpatialData.init_from_elements({"spots": shapes, "table": table}).write(tmp_path / "s.zarr")
    gone = tmp_path / "s.zarr" / part
    assert gone.exists()
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(DataError):
        read(tmp_path / "s.zarr")


def test_factors_are_read_as_written(outs: Path) -> None:
    """The scale factors of the file are returned."""
    written = json.loads((outs / "spatial" / "scalefactors_json.json").read_text())
    written["fiducial_diameter_fullres"] = 0.0
    assert read_scalefactors(outs / "spatial") == written
