"""Counts of cells as the folder ``segmented_outputs`` of Space Ranger 4."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.io.layout.cell_outlines import colour_of, outline_px
from histosge.io.layout.prediction_table import library
from histosge.prediction import count_allocation
from histosge.prediction.mean_depth import refuse_depth_adjusted
from histosge.section.locations import Locations
from histosge.section.section import Section
from histosge.segmentation.cells import Cells

from .base import AnyPrediction, WriteOptions, Writer
from .recognise import SEGMENTED_README, is_own_segmented
from .tenx_files import write_images, write_matrix

__all__ = ["BETWEEN_CELLS", "ENTRIES", "write"]

_MATRIX, _IDS = "filtered_feature_cell_matrix.h5", "cell_ids.csv"
#: counts of spots that are in none of their cells
BETWEEN_CELLS = "between_cells.h5"
_OUTLINES = {"cell": "cell_segmentations.geojson", "nucleus": "nucleus_segmentations.geojson"}
# names that are cells of Space Ranger already, and the largest number that nine digits hold
_NAME, _MOST = re.compile(r"cellid_(\d{9})-1"), 10**9 - 1


def write(
    path: Path, section: Section, prediction: AnyPrediction, options: WriteOptions | None = None
) -> Path:
    """Write a folder in the layout of Space Ranger's ``segmented_outputs``, and return its path.

    ``filtered_feature_cell_matrix.h5`` has whole counts of cells, ``between_cells.h5`` those of each spot that are in
    no cell: together they add up to what was measured at each spot (see :func:`histosge.conserve_cells`). They are what
    the measurement and the prediction say together, not a measurement of cells. ``cell_segmentations.geojson`` and
    ``nucleus_segmentations.geojson`` have outlines in full-resolution pixels, joined by ``cell_id``; ``cell_ids.csv``
    the cells' own ids. Scanpy and Squidpy read it with ``spatial/``, which has the centroids as positions, as Visium;
    Seurat and SpatialData IO as segmented Visium HD. ``README.txt`` says which values there are. The folder appears
    whole or not at all.

    Parameters
    ----------
    path
        The folder.
    section
        The measured section.
    prediction
        At cells with outlines.
    options
        The genes, the kind of counts (``"rounded"``, by default, or ``"drawn"``), and the background.

    Raises
    ------
    UsageError
        For locations that are no cells with outlines, a section without counts, counts that are no whole numbers,
        genes that were not predicted, or a path that cannot be written.
    """
    options = options or WriteOptions()
    prediction = options.select(prediction)
    cells = _outlined(section, prediction.locations)
    refuse_depth_adjusted(prediction.provenance, "Conserving counts")
    kind = options.conserve or "rounded"
    if kind == "real":
        raise UsageError(
            "The format spaceranger_cells holds whole counts. Choose `conserve` rounded or drawn, or the format h5ad."
        )
    counts, between = count_allocation.conserve_cells(
        prediction, section, kind=kind, seed=options.seed, background=options.background
    )
    numbers = _numbers(cells.ids)
    barcodes = np.array([f"cellid_{number:09d}-1" for number in numbers.tolist()])
    with atomic_path(path, own=is_own_segmented) as draft:
        (draft / "spatial").mkdir(parents=True)
        genes = prediction.genes
        names = {
            "genes": genes,
            "gene_ids": section.gene_ids[section.columns(genes)],
            "library": library(section),
        }
        write_matrix(draft / _MATRIX, counts, barcodes=barcodes, **names)
        write_matrix(draft / BETWEEN_CELLS, between, barcodes=section.spots.ids, **names)
        several = _write_outlines(draft, cells, numbers, section.mpp)
        _write_ids(draft / _IDS, barcodes, cells)
        _write_spatial(draft / "spatial", section, cells, barcodes)
        sums = {"counts": int(counts.sum()), "between": int(between.sum()), "several": several}
        text = _readme(section, cells, kind, genes=len(genes), **sums)
        (draft / "README.txt").write_text(text, encoding="utf-8")
    return path


def _outlined(section: Section, locations: Locations) -> Cells:
    """Return the cells, or refuse locations whose outlines are not known, and sections without counts."""
    cells = locations.cells
    if cells is None or cells.outlines is None:
        raise UsageError(
            "The format spaceranger_cells needs cells with outlines, got other locations. Predict with `cells`, or "
            "choose another format."
        )
    if not section.has_counts:
        raise UsageError(
            f"The format spaceranger_cells needs measured counts to allocate, and '{section.name}' has none. Choose "
            "another format."
        )
    return cells


def _numbers(ids: Array) -> Array:
    """Return numbers of cells from 1: their own, where all ids are numbers or names of Space Ranger."""
    matches = [_NAME.fullmatch(name) for name in ids.tolist()]
    texts = [match.group(1) if match else name for match, name in zip(matches, ids.tolist(), strict=True)]
    if all(text.isascii() and text.isdecimal() and 1 <= int(text) <= _MOST for text in texts):
        numbers = np.array([int(text) for text in texts], dtype=np.int64)
        if len(np.unique(numbers)) == len(numbers):
            return numbers
    return np.arange(1, len(ids) + 1)


def _write_outlines(folder: Path, cells: Cells, numbers: Array, mpp: float) -> int:
    """Write the outlines and the nuclei; return how many had several parts, of which readers see the first alone."""
    several = 0
    for kind, polygons in (("cell", cells.outlines), ("nucleus", cells.nuclei)):
        if polygons is None:
            continue
        with (folder / _OUTLINES[kind]).open("w", encoding="utf-8") as stream:
            stream.write('{"type": "FeatureCollection", "features": [')
            for number, feature in enumerate(_features(cells, polygons, numbers, mpp)):
                stream.write((",\n" if number else "\n") + json.dumps(feature))
            stream.write("\n]}\n")
        several += sum(len(getattr(shape, "geoms", ())) > 1 for shape in polygons if shape is not None)
    return several


def _features(cells: Cells, polygons: Array, numbers: Array, mpp: float) -> Iterator[dict[str, Any]]:
    for row, shape in enumerate(polygons):
        if shape is None:
            continue
        # readers take the first ring of the first polygon
        largest = max(getattr(shape, "geoms", [shape]), key=lambda part: part.area)
        properties: dict[str, Any] = {"cell_id": int(numbers[row])}
        if cells.classes is not None and (word := str(cells.classes[row])):
            properties["classification"] = {"name": word, "color": colour_of(word)}
        yield {"type": "Feature", "geometry": outline_px(largest, mpp), "properties": properties}


def _write_ids(path: Path, barcodes: Array, cells: Cells) -> None:
    import pandas as pd

    table = {"barcode": barcodes, "id": cells.ids}
    if cells.classes is not None:
        table["class"] = cells.classes
    pd.DataFrame(table).to_csv(path, index=False)


def _write_spatial(folder: Path, section: Section, cells: Cells, barcodes: Array) -> None:
    """Write images, scale factors, and centroids as the positions that readers of Visium expect."""
    import pandas as pd

    x, y = (cells.xy_um / section.mpp).T
    columns = {
        "barcode": barcodes,
        "in_tissue": 1,
        "array_row": 0,
        "array_col": np.arange(len(cells)),
        "pxl_row_in_fullres": y.round(2),
        "pxl_col_in_fullres": x.round(2),
    }
    pd.DataFrame(columns).to_csv(folder / "tissue_positions.csv", index=False)
    diameter_px = 2 * float(np.sqrt(np.median(cells.area_um2) / np.pi)) / section.mpp
    factors = {
        "spot_diameter_fullres": diameter_px,
        "fiducial_diameter_fullres": diameter_px,
        "microns_per_pixel": section.mpp,
        **write_images(folder, section),
    }
    (folder / "scalefactors_json.json").write_text(json.dumps(factors), encoding="utf-8")


def _readme(
    section: Section, cells: Cells, kind: str, *, genes: int, counts: int, between: int, several: int
) -> str:
    """Return what the folder holds, in sentences."""
    how = {
        "rounded": "whole counts by largest remainder",
        "drawn": "whole counts drawn at random (multinomial)",
    }
    lines = [
        SEGMENTED_README,
        "",
        f"Section {section.name}: {len(cells)} cells, {genes} genes. Of {counts + between} counts of these genes "
        f"measured at spots {counts} are in cells and {between} between them.",
        f"{_MATRIX}: {how[kind]}. Counts of a spot were allocated to the cells in it by area and predicted expression; "
        f"the rest is in {BETWEEN_CELLS}, spot by spot. Both add up to what the spot measured. No count was measured "
        "at a cell.",
        "Do not test for differences between cells as if each were a measurement: replicates are spots, sections or "
        "patients.",
        f"{_OUTLINES['cell']}: outlines in pixels of the full-resolution image; cell_id 12 is barcode "
        "cellid_000000012-1 of the matrix.",
        f"{_IDS}: the cells' own ids.",
        "spatial/tissue_positions.csv: centroids of the outlines, for readers of Visium. Space Ranger has no such file "
        "for cells.",
    ]
    if cells.nuclei is not None:
        lines.insert(6, f"{_OUTLINES['nucleus']}: nuclei likewise.")
    if several:
        lines.append(f"{several} outlines have several parts, of which the largest is in the files.")
    return "\n".join(lines) + "\n"


ENTRIES = (
    Writer(
        name="spaceranger_cells",
        summary="counts and outlines of cells as Space Ranger's segmented_outputs: Scanpy, Squidpy, Seurat",
        filename="segmented_outputs",
        kind="folder",
        streams=True,
        write=write,
        recognises=is_own_segmented,
        holds_counts=True,
        refuse=_outlined,
    ),
)
