"""Positions of another scale, exchanged x and y, and columns of the array that are none are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folders import TRUTH, read

import histosge as hs
from histosge.datasets import synthetic
from histosge.datasets.synthetic import write_spaceranger
from histosge.errors import DataError
from histosge.images.slide import SlideImage
from histosge.section.alignment import check_alignment

POSITIONS = "spatial/tissue_positions.csv"
COLUMNS = ["pxl_row_in_fullres", "pxl_col_in_fullres"]


def change(outs: Path, **columns: object) -> Path:
    """Write other columns into the positions file."""
    table = pd.read_csv(outs / POSITIONS)
    table.assign(**columns).to_csv(outs / POSITIONS, index=False)
    return outs


def test_positions_in_pixels_of_a_smaller_image_are_refused(outs: Path) -> None:
    """The ratio of spot and pitch tells that positions were multiplied by the hires image's scale factor."""
    table = pd.read_csv(outs / POSITIONS)
    change(outs, **{name: table[name] * 0.25 for name in COLUMNS})
    with pytest.raises(DataError, match=r"pixels of the hires image.*divide them by 0\.25"):
        read(outs)
    section = read(outs, trust_alignment=True)
    assert any("`trust_alignment`" in message.text for message in section.messages)


def test_an_odd_spot_size_that_no_image_explains_is_a_warning(outs: Path) -> None:
    """Spots drawn larger in the scale factors do not prevent reading."""
    path = outs / "spatial/scalefactors_json.json"
    path.write_text(path.read_text().replace('"spot_diameter_fullres": ', '"spot_diameter_fullres": 1'))
    assert any("wide, expected 40 to 85" in message.text for message in read(outs).messages)


def test_exchanged_x_and_y_are_refused(outs: Path) -> None:
    """Row and column in pixels exchanged: the array is mirrored, and the image does not fit."""
    table = pd.read_csv(outs / POSITIONS)
    change(outs, **{COLUMNS[0]: table[COLUMNS[1]], COLUMNS[1]: table[COLUMNS[0]]})
    with pytest.raises(DataError, match=r"x and y are exchanged.*pxl_col"):
        read(outs)
    (outs / "spatial/tissue_hires_image.png").unlink()
    (outs / "spatial/tissue_lowres_image.png").unlink()
    assert any("was not checked" in message.text for message in read(outs).messages)


def test_an_image_that_is_mirrored_with_its_positions_is_read(outs: Path) -> None:
    """A mirrored image of a microscope, on which the positions were made, fits as it is; bins of HD are not checked."""
    from PIL import Image, ImageOps

    for path in (outs / "spatial").glob("*.png"):
        with Image.open(path) as picture:
            size = picture.width
            ImageOps.mirror(picture).save(path)
            if "hires" in path.name:
                width = size * 4
    table = pd.read_csv(outs / POSITIONS)
    change(outs, **{COLUMNS[1]: width - table[COLUMNS[1]]})
    assert any("which fits as it is" in message.text for message in read(outs).messages)


def test_few_spots_are_not_checked(tmp_path: Path) -> None:
    """With too few spots to compare orientations, exchanged x and y and the alignment's line say so."""
    small = synthetic(columns=8, rows=8, genes=12).section
    outs = write_spaceranger(small, tmp_path / "outs")
    result = check_alignment(small)
    assert "not checked" in result.summary
    assert not result.is_clear
    table = pd.read_csv(outs / POSITIONS)
    change(outs, **{COLUMNS[0]: table[COLUMNS[1]], COLUMNS[1]: table[COLUMNS[0]]})
    assert any("not checked" in message.text for message in read(outs).messages)


def test_columns_of_the_array_are_whole_numbers(outs: Path) -> None:
    """Fractional columns are refused, and the first one is named."""
    table = pd.read_csv(outs / POSITIONS)
    change(outs, array_col=table["array_col"] + np.where(table.index == 3, 0.5, 0))
    with pytest.raises(DataError, match=f"'{table['barcode'][3]}' and 0 others"):
        read(outs)


def test_an_alignment_near_zero_is_no_ok() -> None:
    """An image that fits no orientation better than others is a note, with the reason; it is not refused."""
    assert TRUTH.slide is not None
    pixels = TRUTH.slide.thumbnail(8.0)
    half = pixels[: pixels.shape[0] // 2]
    even = np.concatenate([half, half[::-1]])
    even = np.concatenate([even[:, : even.shape[1] // 2], even[:, : even.shape[1] // 2][:, ::-1]], axis=1)
    section = replace(TRUTH, slide=SlideImage.from_array(even, 8.0))
    result = check_alignment(section)
    assert result.margin is not None
    assert abs(result.margin) < 0.1
    assert not result.is_clear
    (line,) = [check for check in hs.doctor(section) if check.name == "alignment"][:1]
    assert line.verdict == "note"
    assert "too little to be sure" in line.finding


def test_counts_without_information_do_not_turn_an_image() -> None:
    """Counts that are the same in all spots fit no orientation: the section is not refused as turned."""
    counts = TRUTH.counts.copy()
    counts.data = np.random.default_rng(0).poisson(5.0, len(counts.data)).astype(counts.dtype) + 1
    assert check_alignment(replace(TRUTH, counts=counts)).problem is None


@pytest.mark.real
def test_real_bins_of_visium_hd_are_read(real_data: Path) -> None:
    """Their array is mirrored in the image of the microscope, which is no reason to refuse them."""
    section = read(real_data / "visium_hd_crc_crop" / "hdvisium", bin_um=16)
    assert len(section) == 675
    assert section.lattice is not None
    assert np.linalg.det(section.lattice.step_um) < 0
    assert not any("mirrored" in message.text for message in section.messages)
