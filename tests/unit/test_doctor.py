"""The doctor checks a section first, then the installation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import histosge as hs
from histosge.datasets.synthetic import write_spaceranger
from histosge.errors import UsageError
from histosge.images.slide import SlideImage

SECTION = hs.synthetic(columns=14, rows=14, genes=20).section


def test_the_section_comes_first() -> None:
    """Size, scale, image and alignment, then packages, device and encoders."""
    names = [check.name for check in hs.doctor(SECTION)]
    assert names[0] == "section"
    assert names.index("alignment") < names.index("packages") < names.index("encoders")


def test_a_path_is_read_and_the_spots_are_drawn(tmp_path: Path) -> None:
    """A folder is checked like the section in it; ``out`` receives the figure."""
    folder = write_spaceranger(SECTION, tmp_path / "outs")
    checks = {check.name: check for check in hs.doctor(folder, out=tmp_path)}
    assert checks["alignment"].verdict == "ok"
    assert (tmp_path / "section.png").stat().st_size > 0


def test_absent_weights_are_folded_into_a_line() -> None:
    """However many encoders lack weights, one line names them."""
    checks = hs.doctor()
    assert len([check for check in checks if check.name in ("encoders", "weights")]) <= 2
    (encoders,) = [check for check in checks if check.name == "encoders"]
    assert "texture" in encoders.finding


def test_limits_are_no_errors() -> None:
    """A section without image, and an image too coarse for texture, are named and are no errors."""
    (image,) = [check for check in hs.doctor(replace(SECTION, slide=None)) if check.name == "image"]
    assert image.verdict == "note"
    assert "`image`" in image.finding
    coarse = SlideImage.from_array(np.full((40, 40, 3), 200, dtype=np.uint8), 40.0)
    (image,) = [check for check in hs.doctor(replace(SECTION, slide=coarse)) if check.name == "image"]
    assert "too coarse" in image.finding


def test_the_doctor_has_the_choices_of_run(tmp_path: Path) -> None:
    """A bin size, a library and a format choose what is examined, and wrong ones are refused as `run` refuses them."""
    square = hs.synthetic(columns=12, rows=12, genes=12, lattice="square").section
    for size in (8, 16):
        write_spaceranger(square, tmp_path / "hd" / f"square_{size:03d}um")
    named = {check.name: check.finding for check in hs.doctor(tmp_path / "hd", bin_um=8)}
    assert "visium_hd_008um" in named["section"]
    with pytest.raises(UsageError, match="`bin_um`"):
        hs.doctor(tmp_path / "hd", bin_um=2)
    with pytest.raises(UsageError, match="`library_id` chooses"):
        hs.doctor(tmp_path / "hd", library_id="A")
    with pytest.raises(UsageError, match="no reader named 'visiun'"):
        hs.doctor(tmp_path / "hd", reader="visiun")


@pytest.mark.parametrize("chosen", ["A", "B"])
def test_the_doctor_examines_the_library_that_is_chosen(tmp_path: Path, chosen: str) -> None:
    """Of an h5ad of two sections, the one that `library_id` names."""
    import anndata

    parts = []
    for name, keep in (("A", 60), ("B", 40)):
        rows = SECTION.take(np.arange(keep))
        part = anndata.AnnData(rows.counts.astype(np.float32).tocsr())
        part.obs_names = [f"{name}{number}" for number in range(keep)]
        part.var_names = SECTION.genes.astype(object)
        part.obs["library_id"] = name
        part.obs["array_col"], part.obs["array_row"] = rows.lattice_xy.astype(int).T
        part.obsm["spatial"] = rows.spots.xy
        parts.append(part)
    anndata.concat(parts).write_h5ad(tmp_path / "two.h5ad")
    (section,) = [c for c in hs.doctor(tmp_path / "two.h5ad", library_id=chosen) if c.name == "section"]
    assert section.finding.startswith({"A": "60", "B": "40"}[chosen])
    with pytest.raises(UsageError, match="several libraries: A, B"):
        hs.doctor(tmp_path / "two.h5ad")
