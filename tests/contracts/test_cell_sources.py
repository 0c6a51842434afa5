"""Every source reads the same cells from its own layout."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from histosge.errors import HistosgeWarning
from histosge.segmentation.cells import Cells
from histosge.segmentation.sources import CELL_SOURCES, CellOptions, read_cells, source_of

MPP = 0.5
WIDTH, HEIGHT = 420, 360
OPTIONS = CellOptions(MPP, image_px=(WIDTH, HEIGHT))
IDS = [str(number) for number in range(1, 31)]
CLASSES = ["Tumour" if number % 3 else "Stroma" for number in range(30)]
CENTRES = np.array([(40 + 60 * (number % 6), 40 + 60 * (number // 6)) for number in range(30)])
HALVES = np.array([(10 + number % 5, 14 - number % 4) for number in range(30)])


def boxes(halves: np.ndarray) -> list[shapely.Polygon]:
    low, high = CENTRES - halves, CENTRES + halves
    return [shapely.box(*a, *b) for a, b in zip(low, high, strict=True)]


CELLS, NUCLEI = boxes(HALVES), boxes(HALVES // 2)


def ring(shape: shapely.Polygon) -> list[list[float]]:
    return [list(xy) for xy in shape.exterior.coords]


def polygon(shape: shapely.Polygon) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [ring(shape)]}


def features(kind: str = "cell", nuclei: bool = True, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "type": "Feature",
            "id": name,
            "geometry": polygon(cell),
            **({"nucleusGeometry": polygon(nucleus)} if nuclei else {}),
            "properties": {"objectType": kind, "classification": {"name": label, "color": [9, 9, 9]}, **more},
        }
        for name, cell, nucleus, label in zip(IDS, CELLS, NUCLEI, CLASSES, strict=True)
    ]


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def collection(folder: Path) -> Path:
    measured = {"Nucleus: Area µm^2": 20.0, "Odd": "NaN"}
    content = {"type": "FeatureCollection", "features": features(measurements=measured)}
    return written(folder / "cells.geojson", content)


def compressed(folder: Path) -> Path:
    (folder / "cells.geojson.gz").write_bytes(gzip.compress(json.dumps(features()).encode()))
    return folder / "cells.geojson.gz"


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "cells.geojson.zip", "w") as archive:
        archive.writestr("cells.geojson", json.dumps(features()))
    return folder / "cells.geojson.zip"


def nested(folder: Path) -> Path:
    """An annotation around its cells, with the key that QuPath wrote twice and a list of measurements."""
    children = json.dumps(features(measurements=[{"name": "Detection probability", "value": 0.5}]))
    annotation = json.dumps(polygon(shapely.box(0, 0, WIDTH, HEIGHT)))
    properties = '{"objectType": "annotation", "metadata": {}, "metadata": {"a": "b"}, "childObjects": %s}'
    return written(
        folder / "cells.json",
        f'{{"type": "Feature", "id": "x", "geometry": {annotation}, "properties": {properties % children}}}',
    )


def class_words(folder: Path) -> Path:
    """Classes as words, and as the names of a derived class; a byte-order mark; a comma after the last cell."""
    content = features("detection")
    for number, feature in enumerate(content):
        name = feature["properties"]["classification"]["name"]
        feature["properties"]["classification"] = (
            name if number % 2 else {"names": [name], "color": [1, 2, 3]}
        )
    text = "\ufeff" + json.dumps(content)[:-1] + ",\n]\n"
    return written(folder / "cells.geojson", text)


def with_other_objects(folder: Path) -> Path:
    """Tiles, a tissue annotation and points within cells are no cells."""
    others = features("tile", nuclei=False) + features("annotation", nuclei=False)
    return written(folder / "cells.geojson", others + features() + features("detection", nuclei=False))


def classes_of_cellvit(folder: Path) -> Path:
    content = []
    for label in ("Tumour", "Stroma"):
        shapes = [ring(c) for c, own in zip(CELLS, CLASSES, strict=True) if own == label]
        geometry = {"type": "MultiPolygon", "coordinates": [[shape] for shape in shapes]}
        properties = {"objectType": "annotation", "classification": {"name": label, "color": [1, 2, 3]}}
        content.append({"type": "Feature", "id": label, "geometry": geometry, "properties": properties})
    return written(folder / "cells.geojson", content)


def space_ranger(folder: Path) -> Path:
    path = folder / "segmented_outputs"
    (path / "spatial").mkdir(parents=True)
    for name, shapes in (("cell", CELLS), ("nucleus", NUCLEI[::-1])):
        ids = IDS if name == "cell" else IDS[::-1]
        content = [
            {"type": "Feature", "geometry": polygon(shape), "properties": {"cell_id": int(number)}}
            for number, shape in zip(ids, shapes, strict=True)
        ]
        written(path / f"{name}_segmentations.geojson", {"type": "FeatureCollection", "features": content})
    for feature, label in zip(content[::-1], CLASSES, strict=True):
        feature["properties"]["classification"] = {"name": label, "color": [0, 0, 0]}
    written(
        path / "graphclust_annotated_cell_segmentations.geojson",
        {"type": "FeatureCollection", "features": content},
    )
    written(path / "spatial" / "scalefactors_json.json", {"microns_per_pixel": MPP})
    return path


def instanseg(folder: Path) -> Path:
    content = []
    for kind, shapes in (("Nuclei", NUCLEI[::-1]), ("Cells", CELLS)):
        for number, shape in enumerate(shapes):
            properties = {
                "object_type": "detection",
                "classification": kind,
                "measurements": [{"name": "Label", "value": number}],
            }
            content.append({"type": "Feature", "geometry": polygon(shape), "properties": properties})
    return written(folder / "slide_instanseg_prediction.geojson", json.dumps(content)[:-1] + ",]")


def cellvit(folder: Path) -> Path:
    cells = [
        {
            "bbox": [[0, 0], [1, 1]],
            "centroid": centre.tolist(),
            "contour": ring(cell)[:-1],
            "type": 1 if label == "Tumour" else 2,
            "type_prob": 0.75,
            "patch_coordinates": [0, 0],
        }
        for centre, cell, label in zip(CENTRES, CELLS, CLASSES, strict=True)
    ]
    types = {"0": "Background", "1": "Tumour", "2": "Stroma"}
    return written(folder / "cells.json", {"wsi_metadata": {}, "type_map": types, "cells": cells})


def cellpose(folder: Path) -> Path:
    lines = [",".join(str(int(v)) for xy in ring(cell)[:-1] for v in xy) for cell in CELLS]
    return written(folder / "slide_cp_outlines.txt", "\n".join(lines) + "\n")


def painted(shapes: list[shapely.Polygon]) -> np.ndarray:
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint16)
    for name, shape in zip(IDS, shapes, strict=True):
        left, top, right, bottom = (int(value) for value in shape.bounds)
        labels[top:bottom, left:right] = int(name)
    return labels


def tiff(folder: Path) -> Path:
    import tifffile

    tifffile.imwrite(folder / "masks.tif", painted(CELLS), compression="zlib", rowsperstrip=7)
    return folder / "masks.tif"


def big_tiff(folder: Path) -> Path:
    import tifffile

    path = folder / "masks.ome.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": MPP, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, painted(CELLS).astype(np.uint32), bigtiff=True, tile=(64, 64), metadata=metadata)
    return path


def two_planes(folder: Path) -> Path:
    import tifffile

    planes = np.stack([painted(NUCLEI[::-1]), painted(CELLS)]).astype(np.int32)
    tifffile.imwrite(folder / "slide_instanseg_prediction.tiff", planes, photometric="minisblack")
    return folder / "slide_instanseg_prediction.tiff"


def half_size(folder: Path) -> Path:
    np.save(folder / "masks.npy", painted(CELLS)[::2, ::2])
    return folder / "masks.npy"


def sparse(folder: Path) -> Path:
    from scipy.sparse import csr_matrix, save_npz

    save_npz(folder / "labels.npz", csr_matrix(painted(CELLS).astype(np.int32)))
    return folder / "labels.npz"


def picture(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(painted(CELLS)).save(folder / "slide_cp_masks.png")
    return folder / "slide_cp_masks.png"


def ome_zarr(folder: Path) -> Path:
    import zarr

    group = zarr.open_group(folder / "slide.zarr", mode="w", zarr_format=2)
    labels = group.create_group("labels/cells")
    labels.create_array("0", data=painted(CELLS), chunks=(100, 100))
    labels.attrs["multiscales"] = [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]
    return folder / "slide.zarr"


def geoparquet(folder: Path) -> Path:
    import geopandas

    frame = geopandas.GeoDataFrame({"cell_id": IDS, "class": CLASSES}, geometry=CELLS)
    frame.to_parquet(folder / "cells.parquet")
    return folder / "cells.parquet"


def spatialdata(folder: Path) -> Path:
    import geopandas
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Scale

    step = Scale([2.0, 2.0], axes=("x", "y"))
    shapes = {}
    for name, polygons in (("cell_boundaries", CELLS), ("nucleus_boundaries", NUCLEI)):
        frame = geopandas.GeoDataFrame(
            geometry=[shapely.affinity.scale(p, 0.5, 0.5, origin=(0, 0)) for p in polygons]
        )
        frame.index = IDS
        shapes[name] = ShapesModel.parse(frame, transformations={"global": step})
    SpatialData(shapes=shapes).write(folder / "store.zarr")
    return folder / "store.zarr"


def table(folder: Path) -> Path:
    rows = [f"{i},{x},{y},{c}" for i, (x, y), c in zip(IDS, CENTRES, CLASSES, strict=True)]
    return written(folder / "cells.csv", "\n".join(["Object ID,x_px,y_px,Classification", *rows]))


# H&E pixels are turned by a quarter on the Xenium image and have 0.5 µm, those of Xenium 0.2125
PIXEL_UM = 0.2125
MATRIX = np.array([[0, -MPP / PIXEL_UM, 1000.0], [MPP / PIXEL_UM, 0, 50.0], [0, 0, 1]])


def vertices(shapes: list[shapely.Polygon], ids: list[Any]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"cell_id": [], "vertex_x": [], "vertex_y": [], "label_id": []}
    for number, (name, shape) in enumerate(zip(ids, shapes, strict=True), start=1):
        um = (np.array(ring(shape)) @ MATRIX[:2, :2].T + MATRIX[:2, 2]) * PIXEL_UM
        columns["cell_id"] += [name] * len(um)
        columns["label_id"] += [number] * len(um)
        columns["vertex_x"] += um[:, 0].tolist()
        columns["vertex_y"] += um[:, 1].tolist()
    return columns


def xenium(folder: Path, ids: list[Any] = IDS, version: str = "xenium-2.0.0.6") -> Path:
    import pyarrow
    from pyarrow import parquet

    for name, shapes in (("cell_boundaries", CELLS), ("nucleus_boundaries", NUCLEI)):
        parquet.write_table(pyarrow.table(vertices(shapes, ids)), folder / f"{name}.parquet")
    written(folder / "experiment.xenium", {"analysis_sw_version": version, "pixel_size": PIXEL_UM})
    text = "\n".join(",".join(str(value) for value in row) for row in MATRIX)
    written(folder / "run_he_imagealignment.csv", text)
    return folder


def xenium_bytes(folder: Path) -> Path:
    return xenium(folder, [name.encode() for name in IDS])


def xenium_old(folder: Path) -> Path:
    """Whole numbers as ids, tables as text, no labels; the alignment as key points."""
    xenium(folder, version="xenium-1.0.1")
    for name, shapes in (("cell_boundaries", CELLS), ("nucleus_boundaries", NUCLEI)):
        (folder / f"{name}.parquet").unlink()
        columns = vertices(shapes, [int(name) for name in IDS])
        del columns["label_id"]
        lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        text = "\n".join([",".join(columns), *lines])
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "run_he_imagealignment.csv").unlink()
    he = np.array([[0.0, 0], [400, 0], [0, 300], [100, 70]])
    rows = np.hstack([he @ MATRIX[:2, :2].T + MATRIX[:2, 2], he])
    lines = [",".join(map(str, row)) for row in rows.tolist()]
    written(folder / "matrix.csv", "\n".join(["fixedX,fixedY,alignmentX,alignmentY", *lines]))
    return folder


# source, layout, and what it holds beside outlines
LAYOUTS: list[tuple[str, Callable[[Path], Path], str]] = [
    ("geojson", collection, "ids nuclei classes"),
    ("geojson", compressed, "ids nuclei classes"),
    ("geojson", zipped, "ids nuclei classes"),
    ("geojson", nested, "ids nuclei classes confidence said"),
    ("geojson", class_words, "ids nuclei classes"),
    ("geojson", with_other_objects, "ids nuclei classes said"),
    ("geojson", classes_of_cellvit, "unordered said"),
    ("spaceranger", space_ranger, "ids nuclei classes"),
    ("instanseg", instanseg, "nuclei"),
    ("cellvit", cellvit, "classes confidence"),
    ("cellpose", cellpose, "ids"),
    ("label_image", tiff, "ids"),
    ("label_image", big_tiff, "ids"),
    ("label_image", two_planes, "ids nuclei"),
    ("label_image", half_size, "ids coarse said"),
    ("label_image", sparse, "ids"),
    ("label_image", picture, "ids"),
    ("label_image", ome_zarr, "ids"),
    ("geoparquet", geoparquet, "ids classes"),
    ("spatialdata", spatialdata, "ids nuclei"),
    ("table", table, "ids classes centroids"),
    ("xenium", xenium, "ids nuclei"),
    ("xenium", xenium_bytes, "ids nuclei"),
    ("xenium", xenium_old, "ids nuclei"),
]


def difference(shapes: Any, expected: list[shapely.Polygon]) -> float:
    """Largest area in which outlines (µm) and expected ones (px) differ, px²."""
    in_px = shapely.transform(np.asarray(shapes), lambda xy: xy / MPP)
    return float(shapely.area(shapely.symmetric_difference(in_px, np.array(expected))).max())


@pytest.mark.parametrize(
    ("source", "layout", "holds"), LAYOUTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_source_reads_the_cells_of_its_layout(
    source: str, layout: Callable[[Path], Path], holds: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Outlines to a hundredth of a pixel; ids, nuclei, classes and probabilities where the layout has them."""
    path = layout(tmp_path)
    assert source_of(path).name == source
    recwarn.clear()
    cells = read_cells(path, OPTIONS)
    said = [warning for warning in recwarn.list if issubclass(warning.category, HistosgeWarning)]
    assert bool(said) == ("said" in holds), [str(w.message) for w in said]
    order = np.arange(30)
    if "unordered" in holds:
        order = np.lexsort(np.round(cells.xy_um / MPP).T)
        assert cells.classes is not None
        assert cells.classes[order].tolist() == CLASSES
    assert np.abs(cells.xy_um[order] / MPP - CENTRES).max() < (1.01 if "coarse" in holds else 1e-6)
    if "centroids" in holds:
        assert cells.outlines is None
    elif "coarse" not in holds:
        assert difference(cells.outlines[order], CELLS) < 0.01
    _check_parts(cells, holds, source)


def _check_parts(cells: Cells, holds: str, source: str) -> None:
    assert cells.source == source
    if "ids" in holds.split():
        assert cells.ids.tolist() == IDS
    assert (cells.nuclei is not None) == ("nuclei" in holds)
    if "nuclei" in holds:
        assert difference(cells.nuclei, NUCLEI) < 0.01
    if "classes" in holds:
        assert cells.classes.tolist() == CLASSES
    assert (cells.confidence is not None) == ("confidence" in holds)


def test_every_source_is_tried() -> None:
    """A new source comes with a layout here."""
    assert set(CELL_SOURCES) == {source for source, _, _ in LAYOUTS}
