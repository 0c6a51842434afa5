"""The command ``nuclei``: cells of an image as QuPath's GeoJSON, read again as the same cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image
from typer.testing import CliRunner

from histosge.cli.application import application
from histosge.datasets.stained_nuclei import Drawing, stained_nuclei
from histosge.segmentation.measure import MEASUREMENTS
from histosge.segmentation.sources import CellOptions, read_cells

MPP = 0.8


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A square of 400 µm of tissue with a margin of glass."""
    drawn = stained_nuclei(400.0, MPP, Drawing(radius_um=4.5, density_mm2=2500))
    rgb = np.full((640, 640, 3), 242, dtype=np.uint8)
    rgb[70:570, 70:570] = drawn.rgb
    path = tmp_path_factory.mktemp("image") / "slide.png"
    Image.fromarray(rgb).save(path)
    return path


@pytest.fixture(scope="module")
def written(image: Path) -> tuple[Path, str]:
    out = image.parent / "cells.geojson"
    arguments = ["nuclei", str(image), "--mpp", str(MPP), "--out", str(out), "--json"]
    result = CliRunner().invoke(application(), arguments)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def test_cells_come_back_as_they_were_written(written: tuple[Path, str]) -> None:
    """The file has a cell a feature with outline, nucleus and measurements, and our own reader reads them all."""
    path, reply = written
    record = json.loads(reply[reply.index("{") :])
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert record["cells"] == len(features) > 250
    assert 1500 < record["cells_per_mm2"] < 3500
    first = features[0]
    assert first["properties"]["objectType"] == "cell"
    assert {"geometry", "nucleusGeometry", "id"} <= set(first)
    assert set(first["properties"]["measurements"]) == set(MEASUREMENTS)
    cells = read_cells(path, CellOptions(MPP))
    assert cells.ids.tolist() == [feature["properties"]["cell_id"] for feature in features]
    areas = [feature["properties"]["measurements"]["Cell: Area µm^2"] for feature in features]
    np.testing.assert_allclose(cells.area_um2, areas, rtol=0.01)
    assert cells.nuclei is not None
    assert shapely.area(cells.nuclei).min() > 5


def test_a_second_run_replaces_its_own_file_alone(image: Path, written: tuple[Path, str]) -> None:
    """What another program wrote stays; so does the image."""
    foreign = image.parent / "notes.geojson"
    foreign.write_text("{}")
    for out in (foreign, image):
        arguments = ["nuclei", str(image), "--mpp", str(MPP), "--out", str(out)]
        result = CliRunner().invoke(application(), arguments)
        assert result.exit_code == 2
    assert foreign.read_text() == "{}"


def test_a_coarse_image_is_refused_with_the_option(image: Path, tmp_path: Path) -> None:
    """The sentence names --image and both scales, and nothing is written."""
    out = tmp_path / "cells.geojson"
    arguments = ["nuclei", str(image), "--mpp", "4.5", "--out", str(out)]
    result = CliRunner().invoke(application(), arguments)
    assert result.exit_code == 2
    words = " ".join(result.output.split())
    assert "1 µm per pixel or finer, got 4.5 µm per pixel" in words
    assert "--image" in words
    assert not out.exists()


def test_segmenters_are_listed() -> None:
    """``list segmenters`` has the built-in one and those of other packages."""
    result = CliRunner().invoke(application(), ["list", "segmenters", "--json"])
    names = {row["name"]: row["package"] for row in json.loads(result.stdout)["segmenters"]}
    assert names["nuclei"] == "built in"
    assert {"stardist", "cellpose", "instanseg"} < set(names)
