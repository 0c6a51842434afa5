"""A prediction at cells says of each gene whether single cells or only their neighbourhood can be told."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pytest
import shapely

import histosge as hs
from histosge.io.writers import factors
from histosge.prediction.accuracy_words import cell_line, cell_sentence, reliable_as

SECTION = hs.synthetic(columns=9, rows=9, genes=15).section


def cells(radius_um: float = 5.0) -> hs.Cells:
    rng = np.random.default_rng(0)
    xy_um = SECTION.spots.xy[:60] + rng.uniform(-30, 30, (60, 2))
    ids = np.char.add("c", np.arange(60).astype(str))
    return hs.Cells(ids, xy_um, shapely.buffer(shapely.points(xy_um), radius_um))


def run(out: Path, recipe: hs.Recipe, target: hs.Target) -> dict[str, list[str]]:
    hs.run(SECTION, recipe, out=out, target=target, outputs=hs.Outputs(figures=False))
    record: dict[str, list[str]] = json.loads((out / "run.json").read_text())
    return record


def test_reliability_of_cells_is_that_of_the_effective_resolution(tmp_path: Path) -> None:
    """Files hold what `effective_resolution` says of disks as wide as a cell and of 50 µm; the record says it too."""
    recipe = hs.Recipe("cokriging", "positions", genes="all")
    record = run(tmp_path, recipe, hs.Target(cells=cells()))
    var = anndata.read_h5ad(tmp_path / "prediction.h5ad").var
    width_um = 2 * (cells().area_um2[0] / np.pi) ** 0.5
    fit = hs.fit(SECTION, recipe)
    locations = hs.at_cells(SECTION, cells())
    rows = np.flatnonzero(locations.in_tissue)
    expected = hs.effective_resolution(
        fit, SECTION, var.index.tolist(), locations=locations.take(rows), widths_um=(width_um, 50.0)
    ).reliability
    for name, row in zip(("reliability_cell", "reliability_50um"), expected, strict=True):
        assert np.allclose(var[name], row, rtol=1e-3, equal_nan=True), name
    assert np.isfinite(expected).any()
    held = factors.read(tmp_path / "factors.h5ad").basis
    assert np.allclose(held.reliability_cell, expected[0], rtol=1e-3, equal_nan=True)
    assert "cell by cell (10 µm)" in record["accuracy"][-1]


@pytest.mark.parametrize(
    ("recipe", "target"),
    [
        (hs.Recipe("cokriging", "positions", genes="all"), hs.Target(upsample=2)),
        (hs.Recipe("kriging", genes="all"), hs.Target(cells=cells())),
        (hs.Recipe("cokriging", "positions", genes="all", depth_adjusted=True), hs.Target(cells=cells())),
    ],
    ids=["no cells", "another model", "at the mean depth"],
)
def test_nothing_is_said_where_nothing_is_known(tmp_path: Path, recipe: hs.Recipe, target: hs.Target) -> None:
    """Other locations, models without a posterior of disks and fits at the mean depth have no such columns."""
    record = run(tmp_path, recipe, target)
    assert not {"reliability_cell", "reliable_as"} & set(anndata.read_h5ad(tmp_path / "prediction.h5ad").var)
    assert not any("cell by cell" in sentence for sentence in record["accuracy"])


def test_words_follow_the_numbers() -> None:
    """A gene is reliable for single cells, as a map of 50 µm, neither, or unknown; a weak one is for neither."""
    half, less = 0.5, 0.49
    rows = [
        (half, half, half),
        (half, less, half),
        (less, half, half),
        (half, half, less),
        (np.nan, half, half),
    ]
    cell, own, wide = np.array([*rows, rows[0], rows[0]]).T
    grade = np.array(["fair", "strong", "fair", "strong", "fair", "weak", "none"])
    words = ["single cells", *["map of 50 µm"] * 2, "neither", "unknown", *["neither"] * 2]
    assert reliable_as(cell, own, wide, grade).tolist() == words
    assert cell_line("unknown") == ""
    assert cell_sentence(np.array(["unknown"]), 10.0) == ""


def test_a_smooth_map_tells_no_single_cells() -> None:
    """What lies within neighbourhoods is a share of the variance there; none of it predicted, none is explained."""
    section = hs.synthetic(columns=9, rows=9, genes=15, seed=1).section
    fit = hs.fit(section, hs.Recipe("cokriging", "positions", genes="all"))
    resolution = hs.effective_resolution(fit, section, widths_um=(10.0, 50.0))
    none, some, much = (
        resolution.reliability_within(10.0, 50.0, np.full(15, share)) for share in (0.0, 0.001, 1.0)
    )
    known = np.isfinite(resolution.reliability[0])
    assert known.any()
    assert np.array_equal(np.isfinite(none), known)
    assert (none[known] == 0).all()
    assert (some[known] <= much[known]).all()
    assert (much[known] <= 1).all()
