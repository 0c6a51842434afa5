"""Cells as objects that QuPath opens: outline, nucleus and measurements of each."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import NAMESPACE_URL, UUID, uuid5

from histosge._runtime.atomic_files import atomic_path
from histosge.segmentation.cells import Cells

from .layout.cell_outlines import colour_of, outline_px
from .writers.recognise import FIRST_LINE, MARK

if TYPE_CHECKING:
    import pandas as pd

    DataFrame: TypeAlias = pd.DataFrame
else:
    # run-time type checkers must not import pandas
    DataFrame = Any

__all__ = ["write_cells"]

_DIGITS = 4


def write_cells(
    path: Path, cells: Cells, measurements: DataFrame | None = None, *, mpp: float, name: str = ""
) -> Path:
    """Write GeoJSON in pixels of the full-resolution image, one ``cell`` a line; return the path.

    The ``id`` of a feature is that of the cell where this is a UUID, otherwise a UUID of name and id: a second import
    gives QuPath the same objects. The id is also the property ``cell_id``, by which the cells are read again.

    Parameters
    ----------
    path
        The file; it appears whole or not at all.
    cells
        With outlines.
    measurements
        One row a cell, in their order; NaN is left out.
    mpp
        µm per full-resolution pixel.
    name
        Of the section, for the UUIDs.

    Raises
    ------
    UsageError
        For a path that cannot be written.
    """
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as stream:
        stream.write(FIRST_LINE + "\n")
        for number, feature in enumerate(_features(cells, measurements, mpp, name)):
            stream.write((",\n" if number else "") + json.dumps(feature, ensure_ascii=False))
        stream.write(f'\n], "{MARK}": "cells"}}\n')
    return path


def _features(
    cells: Cells, measurements: DataFrame | None, mpp: float, name: str
) -> Iterator[dict[str, Any]]:
    """Yield one feature a cell."""
    columns = [] if measurements is None else list(measurements.columns)
    values = None if measurements is None else measurements.to_numpy(dtype=float)
    for row, cell in enumerate(map(str, cells.ids)):
        properties: dict[str, Any] = {"objectType": "cell", "cell_id": cell}
        word = "" if cells.classes is None else str(cells.classes[row])
        if word:
            properties["classification"] = {"name": word, "color": colour_of(word)}
        if values is not None:
            numbers = zip(columns, values[row].tolist(), strict=True)
            properties["measurements"] = {key: round(x, _DIGITS) for key, x in numbers if math.isfinite(x)}
        feature = {"type": "Feature", "id": _identifier(name, cell), "properties": properties}
        if cells.outlines is not None:
            feature["geometry"] = outline_px(cells.outlines[row], mpp)
        if cells.nuclei is not None and cells.nuclei[row] is not None:
            feature["nucleusGeometry"] = outline_px(cells.nuclei[row], mpp)
        yield feature


def _identifier(name: str, cell: str) -> str:
    """Return the cell's own UUID, or one made of the names of section and cell."""
    try:
        return str(UUID(cell))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"histosge/{name}/{cell}"))
