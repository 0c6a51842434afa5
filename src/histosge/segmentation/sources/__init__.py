"""Sources of cells: one file a layout in which a program writes the cells it found.

A source is a :class:`CellSource` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.cell_sources`` of another package.
"""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.registry import Registry
from histosge.errors import DataError, UsageError
from histosge.segmentation.cells import Cells

from .base import CellOptions, CellSource

__all__ = ["CELL_SOURCES", "CellOptions", "CellSource", "read_cells", "source_of"]

CELL_SOURCES: Registry[CellSource] = Registry(
    "cell source",
    CellSource,
    [__name__],
    group="histosge.cell_sources",
    order=lambda source: source.priority,
)
# what only runs code of strangers when it is opened, and what to give instead
_REFUSED = {
    ".pt": "a pickle of PyTorch, which runs code of whoever made it. Give the GeoJSON or JSON beside it",
    ".pth": "a pickle of PyTorch, which runs code of whoever made it. Give the GeoJSON or JSON beside it",
    ".pkl": "a pickle, which runs code of whoever made it. Export the cells as GeoJSON",
    ".pickle": "a pickle, which runs code of whoever made it. Export the cells as GeoJSON",
    ".rds": "a file of R. Export the cells as GeoJSON or CSV",
    ".rdata": "a file of R. Export the cells as GeoJSON or CSV",
    ".cloupe": "a closed format. Give Space Ranger's folder segmented_outputs",
}


def read_cells(path: Path | str, options: CellOptions) -> Cells:
    """Read cells of any known layout, in µm of the section.

    Parameters
    ----------
    path
        A file or folder that a program wrote its cells to.
    options
        Scale and size of the section's image.

    Returns
    -------
    The cells in the order of the file. What was repaired or left out was said in warnings, with counts.

    Raises
    ------
    UsageError
        When there is nothing at ``path``, or it is a pickle.
    DataError
        When the layout is unknown, the file is damaged, or its scale cannot be that of the section.

    Examples
    --------
    >>> import pandas as pd
    >>> pd.DataFrame({"id": ["a", "b"], "x_um": [10, 30], "y_um": [20, 40]}).to_csv("cells.csv")
    >>> read_cells(Path("cells.csv"), CellOptions(mpp=0.5)).xy_um.tolist()
    [[10.0, 20.0], [30.0, 40.0]]
    """
    path = Path(path)
    cells = source_of(path).read(path, options)
    if not len(cells):
        raise DataError(f"Expected cells in '{path}', got none.")
    return cells


def source_of(path: Path) -> CellSource:
    """Return the source whose layout a path has.

    Raises
    ------
    UsageError
        When there is nothing at ``path``, or it is a pickle.
    DataError
        When it has no known layout.
    """
    if not path.exists():
        raise UsageError(
            f"Expected a file of cells, or the name of a segmenter, found nothing at '{path}'. Check the path; "
            "`histosge list cell-sources` and `histosge list segmenters` have what can be given."
        )
    if (reason := _REFUSED.get(path.suffix.lower())) is not None:
        raise UsageError(f"'{path}' is {reason}.")
    for source in CELL_SOURCES.values():
        if source.detect(path):
            return source
    known = "; ".join(source.summary for source in CELL_SOURCES.values())
    raise DataError(f"'{path}' has no known layout of cells. Known: {known}.")
