"""Where tissue is, and regions and cells that come from elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histosge.datasets import synthetic
from histosge.errors import HistosgeError, UsageError
from histosge.figures.markers import choose_markers
from histosge.geometry.polygons import Polygon, read_cells, read_polygons
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask
from histosge.metrics.morans import morans_i
from histosge.section.locations import cells, within
from histosge.section.target import Target, locate, tissue_of

TISSUE = synthetic()
SECTION = TISSUE.section


def test_the_mask_is_the_tissue_that_was_stained() -> None:
    """Nearly all spots are on it, the corners of the image are not, and its area is that of the oval."""
    mask = tissue_of(SECTION)
    assert mask.contains(SECTION.spots.xy).mean() > 0.97
    assert SECTION.slide is not None
    width, height = SECTION.slide.size_um
    corners = np.array([[20.0, 20.0], [width - 20, 20.0], [20.0, height - 20], [width - 20, height - 20]])
    assert not mask.contains(corners).any()
    assert 0.5 < mask.fraction < 0.85
    assert not mask.contains(np.array([[-5.0, -5.0], [1e6, 1e6]])).any()


def test_an_image_that_is_tissue_everywhere_is_tissue_everywhere() -> None:
    """No white background: the mask does not cut the tissue in two."""
    rng = np.random.default_rng(0)
    rgb = np.clip(np.array([180, 120, 170]) + rng.normal(0, 12, (300, 300, 1)), 0, 255).astype(np.uint8)
    assert TissueMask.from_slide(SlideImage.from_array(rgb, 8.0)).fraction > 0.9


def test_empty_glass_is_no_tissue() -> None:
    """A blank slide has none, whatever its brightness."""
    blank = np.full((200, 200, 3), 235, dtype=np.uint8)
    assert TissueMask.from_slide(SlideImage.from_array(blank, 8.0)).fraction == 0


def test_the_outline_goes_round_the_mask() -> None:
    """The longest border encloses the area of the tissue."""
    mask = tissue_of(SECTION)
    line = max(mask.outline(), key=len)
    x, y = line.T
    area = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
    assert area == pytest.approx(mask.mask.sum() * mask.mpp**2, rel=0.1)


def feature(geometry: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "id": "a", "geometry": geometry, "properties": properties}


SQUARE = {
    "type": "Polygon",
    "coordinates": [[[1000, 1000], [3000, 1000], [3000, 3000], [1000, 3000], [1000, 1000]]],
}


def test_regions_from_qupath_are_filled_with_a_grid(tmp_path: Path) -> None:
    """Coordinates in full-resolution pixels; points every 50 µm inside, none outside."""
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(SQUARE, name="nest")]}))
    (region,) = read_polygons(path, mpp=SECTION.mpp)
    assert region.name == "nest"
    places = within(SECTION, [region], 50.0)
    assert len(places) == (1000 / 50) ** 2
    assert (places.xy > 500).all()
    assert (places.xy < 1500).all()
    target = Target(spacing_um=50.0, regions=path)
    assert np.array_equal(locate(SECTION, target, tissue_of(SECTION)).xy, places.xy)


def test_holes_are_left_out() -> None:
    """A polygon with a hole contains what is between its borders."""
    outer = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    inner = np.array([[4.0, 4], [6, 4], [6, 6], [4, 6]])
    inside = Polygon("ring", outer, (inner,)).contains(np.array([[2.0, 2.0], [5.0, 5.0], [12.0, 2.0]]))
    assert inside.tolist() == [True, False, False]


def test_cells_are_read_from_geojson_and_tables(tmp_path: Path) -> None:
    """QuPath's detections and measurement tables, and plain CSV: the same centroids in µm."""
    small = {
        "type": "Polygon",
        "coordinates": [[[998, 998], [1002, 998], [1002, 1002], [998, 1002], [998, 998]]],
    }
    (tmp_path / "cells.geojson").write_text(json.dumps([feature(small)]))
    (tmp_path / "cells.csv").write_text("id,x_um,y_um\nc1,500,500\n")
    (tmp_path / "cells.tsv").write_text(
        "Object ID\tCentroid X µm\tCentroid Y µm\nc1\t500\t500\n", encoding="utf-8"
    )
    for name in ("cells.geojson", "cells.csv", "cells.tsv"):
        _, xy_um = read_cells(tmp_path / name, 0.5)
        assert np.allclose(xy_um, [[500, 500]]), name
    places = locate(SECTION, Target(cells=tmp_path / "cells.csv"), tissue_of(SECTION))
    assert places.points.ids.tolist() == ["c1"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.geojson", "{not json"),
        ("r.geojson", "[]"),
        ("r.geojson", '{"type": "FeatureCollection", "features": []}'),
        ("r.csv", "a,b\n1,2\n"),
        ("r.csv", "id,x_um,y_um\nc1,nan,3\n"),
        ("r.csv", ""),
    ],
)
def test_regions_that_are_none_are_a_sentence(tmp_path: Path, name: str, content: str) -> None:
    """Broken JSON, nothing in it, a table without positions."""
    (tmp_path / name).write_text(content)
    with pytest.raises(HistosgeError, match=r"r\."):
        read_cells(tmp_path / name, 0.5) if name.endswith("csv") else read_polygons(tmp_path / name, mpp=0.5)


def test_morans_i_is_squidpys() -> None:
    """The autocorrelation that chooses markers equals squidpy's on the same graph."""
    import anndata
    import squidpy

    values = SECTION.counts[:, :8].toarray()
    data = anndata.AnnData(values)
    data.obsm["spatial"] = np.array(SECTION.spots.xy)
    squidpy.gr.spatial_neighbors(data, n_neighs=6, coord_type="generic")
    squidpy.gr.spatial_autocorr(data, mode="moran", n_perms=None, transformation=True)
    theirs = data.uns["moranI"].loc[data.var_names, "I"].to_numpy()
    assert np.allclose(morans_i(values, SECTION.spots.xy), theirs, atol=1e-2)


def test_markers_have_patterns_and_differ() -> None:
    """Of a tissue with known drivers four different ones are shown, and none that follows nothing."""
    chosen = choose_markers(SECTION, SECTION.genes)
    drivers = {name.rstrip("0123456789") for name in chosen}
    assert len(chosen) == 4
    assert len(drivers) >= 3
    assert "FLAT" not in drivers


def test_regions_and_cells_of_another_image_are_refused() -> None:
    """None of them on the section: a wrong file or a wrong unit, and no prediction is made there."""
    section = synthetic(columns=8, rows=8, genes=6).section
    corners = np.array([[0.0, 0], [400, 0], [400, 400], [0, 400]])
    for each in (section, replace(section, slide=None)):
        far = each.spots.xy.max(0) + 1e5
        with pytest.raises(UsageError, match="None of the regions"):
            within(each, [Polygon("far", corners + far)], 50.0)
        with pytest.raises(UsageError, match="None of the cells"):
            cells(each, corners + far, np.array(["a", "b", "c", "d"]))
        assert len(within(each, [Polygon("near", corners + each.spots.xy.mean(0))], 50.0))
