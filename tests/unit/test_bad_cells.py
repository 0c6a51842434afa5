"""Cells that are damaged, of another image or of another scale are repaired with a count, or refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

import histosge as hs
from histosge.errors import DataError, HistosgeError, HistosgeWarning, UsageError
from histosge.section.target import Target, locate, tissue_of
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.paired_nuclei import paired_nuclei
from histosge.segmentation.sources import CellOptions, read_cells
from histosge.segmentation.sources.spatialdata import _chosen
from histosge.segmentation.sources.xenium_alignment import alignment_of, refuse_wrong_way
from histosge.segmentation.stored_cells import StoredCells
from histosge.workflow.cell_checks import cell_checks

OPTIONS = CellOptions(0.5, image_px=(400, 300))
PATH = Path("cells.geojson")


def checked(shapes: list[Any], scale: float = 1.0, **parts: Any) -> Any:
    array = np.array([*shapes, None], dtype=object)[:-1]
    stored = StoredCells([f"c{number}" for number in range(len(shapes))], array, **parts)
    return checked_cells(stored, PATH, source="test", scale=scale)


def test_outlines_that_cross_themselves_are_mended_and_counted() -> None:
    """Both halves of a bow tie are kept; a line in which it collapses is not."""
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    with pytest.warns(HistosgeWarning, match="1 of 2 outlines .* crossed themselves"):
        cells = checked([bow, shapely.box(20, 0, 30, 10)])
    assert shapely.is_valid(cells.outlines).all()
    assert np.allclose(cells.area_um2, [50, 100])


def test_cells_without_area_are_left_out_and_counted() -> None:
    """Ids, classes and nuclei stay those of the cells that are kept."""
    flat = shapely.Polygon([(0, 0), (5, 0), (9, 0)])
    nuclei = np.array([shapely.box(1, 1, 5, 5), None, shapely.box(21, 1, 25, 5)], dtype=object)
    with pytest.warns(HistosgeWarning, match="1 of 3 cells .* without area"):
        cells = checked(
            [shapely.box(0, 0, 9, 9), flat, shapely.box(20, 0, 29, 9)], nuclei=nuclei, classes=["a", "b", "c"]
        )
    assert cells.ids.tolist() == ["c0", "c2"]
    assert cells.classes.tolist() == ["a", "c"]
    assert cells.nuclei[1].bounds == (21, 1, 25, 5)


def test_overlaps_and_nuclei_outside_are_said() -> None:
    """The share of overlapping outlines; touching ones do not overlap."""
    boxes = [shapely.box(x, 0, x + 10, 10) for x in (0, 8, 18, 40)]
    with pytest.warns(HistosgeWarning, match="50.00% of the outlines"):
        checked(boxes)
    nuclei = np.array([shapely.box(1, 1, 6, 6), shapely.box(18, 1, 26, 6)])
    with pytest.warns(HistosgeWarning, match="1 of 2 cells .* nucleus that lies"):
        checked([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)], nuclei=nuclei)


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_a_scale_that_no_cells_have_is_refused(scale: float) -> None:
    """The sentence names the size that was got and µm per pixel; of a few cells it is a warning."""
    boxes = [shapely.box(x, 0, x + 8, 8) for x in range(0, 300, 10)]
    assert len(checked(boxes)) == 30
    with pytest.raises(DataError, match=r"µm wide .* µm per pixel \(`mpp`\)"):
        checked(boxes, scale)
    with pytest.warns(HistosgeWarning, match="µm wide"):
        checked(boxes[:5], scale)


@pytest.mark.parametrize("name", ["cells.pt", "cells.pkl", "cells.rds", "run.cloupe"])
def test_pickles_are_refused_unopened(name: str, tmp_path: Path) -> None:
    """A sentence says what to give instead."""
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(UsageError, match=r"Give|Export"):
        read_cells(tmp_path / name, OPTIONS)


def test_masks_of_cellpose_as_objects_are_refused(tmp_path: Path) -> None:
    """``_seg.npy`` holds Python objects."""
    np.save(tmp_path / "a_seg.npy", np.array({"masks": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="Python objects"):
        read_cells(tmp_path / "a_seg.npy", OPTIONS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.ones((300, 400), dtype=np.float32), "whole numbers"),
        (np.ones((3, 300, 400), dtype=np.uint8), "one plane"),
        (np.ones((300, 400, 3), dtype=np.uint8), "one plane"),
        (np.ones((300, 300), dtype=np.uint8), "another image"),
        (np.ones((300, 400), dtype=np.uint8) * 255, "mask without a number"),
        (np.zeros((300, 400), dtype=np.uint8), "got none"),
        (
            np.kron([[1, 2], [2, 1]], np.eye(200, dtype=np.uint16))[:300],
            "begin anew in each tile|mask without",
        ),
    ],
)
def test_label_images_of_something_else_are_refused(labels: Any, message: str, tmp_path: Path) -> None:
    """Fractions, stacks, other images, background alone, numbers that begin anew in each tile."""
    np.save(tmp_path / "masks.npy", labels)
    # at 2 µm per pixel cells may not be wider than 100 pixels
    options = CellOptions(2.0, image_px=(400, 300)) if "without" in message else OPTIONS
    with pytest.raises(DataError, match=message):
        read_cells(tmp_path / "masks.npy", options)


def test_unknown_files_and_nothing_are_refused(tmp_path: Path) -> None:
    """The sentence lists what is known."""
    (tmp_path / "cells.doc").write_text("cells")
    with pytest.raises(DataError, match=r"no known layout.*QuPath"):
        read_cells(tmp_path / "cells.doc", OPTIONS)
    with pytest.raises(UsageError, match="found nothing at"):
        read_cells(tmp_path / "absent.geojson", OPTIONS)


@pytest.mark.parametrize(
    "content",
    [
        b"\x1f\x8bdamaged",
        b"PK\x03\x04damaged",
        b'{"cells": [{"centroid": [1]}]}',
        b'{"cells": [{"centroid": ["a", 2], "type": 1}]}',
        b'{"cells": [{"centroid": [1, 2], "contour": [[1], [2], [3]]}]}',
        b'{"cells": 3}',
        b'{"cells": []}',
    ],
)
def test_damaged_json_of_cells_is_refused(content: bytes, tmp_path: Path) -> None:
    """One sentence with the file's name."""
    (tmp_path / "cells.json").write_bytes(content)
    with pytest.raises(HistosgeError, match=r"cells\.json"):
        read_cells(tmp_path / "cells.json", OPTIONS)


def test_micrometres_and_pixels_of_two_images_are_refused(tmp_path: Path) -> None:
    """A table of Xenium cells has µm of the Xenium image and pixels of the H&E image."""
    path = tmp_path / "cells.csv"
    path.write_text("cell_id,x_um,y_um,pixel_x,pixel_y\na,10,20,20.1,40\nb,100,90,200,180\n")
    assert read_cells(path, OPTIONS).xy_um[0].tolist() == [10, 20]
    path.write_text("cell_id,x_um,y_um,pixel_x,pixel_y\na,10,20,120,40\nb,100,90,20,180\n")
    with pytest.raises(DataError, match="different images"):
        read_cells(path, OPTIONS)


def test_the_alignment_matrix_must_be_the_right_way_round() -> None:
    """By the scale of the image; where both directions have one scale, by where the cells land."""
    cells_px = np.random.default_rng(0).uniform((900, 100), (1600, 900), (50, 2))
    larger = np.array([[0, -2.0, 1700], [2.0, 0, 50], [0, 0, 1]])
    options = CellOptions(0.5, image_px=(400, 400))
    refuse_wrong_way(larger, cells_px, options, pixel_um=0.25)
    with pytest.raises(DataError, match="wrong way round"):
        refuse_wrong_way(np.linalg.inv(larger), cells_px, options, pixel_um=0.25)
    with pytest.raises(DataError, match="another image"):
        refuse_wrong_way(larger, cells_px, replace(options, mpp=0.8), pixel_um=0.25)
    turned = np.array([[0, -1.0, 1700], [1.0, 0, 50], [0, 0, 1]])
    same = CellOptions(0.25, image_px=(900, 900))
    refuse_wrong_way(turned, cells_px, same, pixel_um=0.25)
    with pytest.raises(DataError, match="wrong way round"):
        refuse_wrong_way(np.linalg.inv(turned), cells_px, same, pixel_um=0.25)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "1,0,0\n0,1,0",
        "a,b,c\n1,2,3\n4,5,6",
        "1,1,0\n1,1,0\n0,0,1",
        "fixedX,fixedY,alignmentX,alignmentY",
    ],
)
def test_files_that_are_no_alignment_are_refused(text: str | None, tmp_path: Path) -> None:
    """None, two rows, words, a matrix that maps to a line, key points that are missing; two files."""
    if text is not None:
        (tmp_path / "s_he_imagealignment.csv").write_text(text)
    with pytest.raises(DataError, match="lignment"):
        alignment_of(tmp_path)
    (tmp_path / "matrix.csv").write_text("1,0,0\n0,1,0\n0,0,1")
    (tmp_path / "other_matrix.csv").write_text("1,0,0\n0,1,0\n0,0,1")
    with pytest.raises(DataError, match="Expected one alignment"):
        alignment_of(tmp_path)


def xenium(folder: Path, columns: dict[str, list[Any]], **experiment: Any) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), folder / "cell_boundaries.parquet")
    (folder / "experiment.xenium").write_text(json.dumps(experiment))
    return folder


def test_a_bundle_of_another_version_is_said_or_refused(tmp_path: Path) -> None:
    """An unknown version is a warning, unknown tables are refused, cells without outline are counted."""
    import pyarrow
    from pyarrow import parquet

    corners = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], dtype=float)
    table = {"cell_id": ["a"] * 4, "vertex_x": corners[:, 0].tolist(), "vertex_y": corners[:, 1].tolist()}
    folder = xenium(tmp_path, table, analysis_sw_version="xenium-7.0", pixel_size=0.25)
    parquet.write_table(pyarrow.table({"cell_id": ["a", "b"]}), folder / "cells.parquet")
    options = CellOptions(0.5, alignment=np.diag([2.0, 2.0, 1.0]))
    with pytest.warns(HistosgeWarning) as caught:
        cells = read_cells(folder, options)
    said = " ".join(str(warning.message) for warning in caught)
    assert "version 'xenium-7.0'" in said
    assert "1 of 2 cells" in said
    assert np.allclose(cells.xy_um, [[5, 5]])
    xenium(tmp_path, {"id": ["a"], "x": [1.0]}, analysis_sw_version="xenium-2.0", pixel_size=0.25)
    with pytest.raises(DataError, match="another version"):
        read_cells(folder, options)
    (folder / "experiment.xenium").write_text("[]")
    with pytest.raises(DataError, match="no description of a Xenium run"):
        read_cells(folder, options)


def test_cells_of_space_ranger_on_another_scale_are_refused(tmp_path: Path) -> None:
    """The scale beside the outlines is that of the image they were found on."""
    (tmp_path / "spatial").mkdir()
    (tmp_path / "cell_segmentations.geojson").write_text("[]")
    (tmp_path / "spatial" / "scalefactors_json.json").write_text('{"microns_per_pixel": 0.27}')
    with pytest.raises(DataError, match=r"0\.27 µm per pixel"):
        read_cells(tmp_path, OPTIONS)


def test_the_element_of_a_store_is_chosen_or_asked_for() -> None:
    """The only one, or the outlines that are named for cells."""
    import pandas as pd

    outlines, circles = pd.DataFrame({"geometry": [0]}), pd.DataFrame({"geometry": [0], "radius": [1.0]})
    several = {"cell_circles": circles, "cell_boundaries": outlines, "spots": circles}
    assert _chosen(several, None, PATH) == "cell_boundaries"
    assert _chosen({"x": circles}, None, PATH) == "x"
    with pytest.raises(UsageError, match="several shapes: a, b"):
        _chosen({"a": circles, "b": outlines}, None, PATH)
    with pytest.raises(UsageError, match="no shapes 'c'"):
        _chosen(several, "c", PATH)


def test_nuclei_are_paired_by_the_area_that_they_share() -> None:
    """One that lies in two cells belongs to the one with more of it; a cell may have two."""
    cells = np.array([shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)])
    nuclei = np.array([shapely.box(7, 0, 11, 4), shapely.box(12, 6, 14, 8), shapely.box(16, 2, 18, 4)])
    of_cells, lost = paired_nuclei(cells, nuclei)
    assert lost == 0
    assert [shape.area for shape in of_cells] == [16, 8]


def test_cells_in_memory_are_a_target(tmp_path: Path) -> None:
    """They are located as those of a file; the doctor says what they are, and what is wrong with others."""
    section = hs.synthetic(columns=8, rows=8, genes=6).section
    shapes = np.array([shapely.Point(xy).buffer(6) for xy in section.spots.xy])
    cells = hs.Cells(section.spots.ids, section.spots.xy, shapes, classes=np.array(["a"] * len(section)))
    locations = locate(section, Target(cells=cells), tissue_of(section))
    assert locations.cells is cells
    findings = {check.name: check for check in cell_checks(section, cells)}
    assert findings["cells"].finding.startswith(f"{len(section)} cells of memory; median area 112")
    assert f"classes a {len(section)}" in findings["cells"].finding
    assert findings["cells on tissue"].verdict == "ok"
    mask = tissue_of(section)
    glass = (np.argwhere(~mask.mask)[:4, ::-1] + 0.5) * mask.mpp
    off = replace(cells, xy_um=np.vstack([cells.xy_um[:-4], glass]))
    assert any("cells lie off tissue" in check.finding for check in cell_checks(section, off))
    (tmp_path / "cells.csv").write_text("x,y\n1e9,1e9\n")
    (check,) = cell_checks(section, tmp_path / "cells.csv")
    assert check.verdict == "bad"
    with pytest.raises(UsageError, match="`cells` belong to a section"):
        hs.doctor(cells=cells)
