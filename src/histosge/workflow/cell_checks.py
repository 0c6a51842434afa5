"""Check cells against a section, for ``histosge doctor``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from histosge.errors import HistosgeError, HistosgeWarning
from histosge.section.section import Section
from histosge.section.target import Target, locate, tissue_of
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import equivalent_diameter_um

from .check import Check

__all__ = ["cell_checks"]

# classes that are listed, most frequent first
_MOST_CLASSES = 8


def cell_checks(section: Section, cells: Cells | Path | str) -> Iterator[Check]:
    """Yield what a file of cells holds, what was repaired or left out, and where the cells lie; never raise for them.

    Parameters
    ----------
    section
        Whose image the cells were detected on.
    cells
        As :class:`~histosge.section.target.Target` takes them.
    """
    mask = tissue_of(section)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HistosgeWarning)
        try:
            locations = locate(section, Target(cells=cells), mask)
        except HistosgeError as error:
            yield Check("cells", "bad", str(error))
            return
    read = locations.cells
    if read is not None:
        yield Check("cells", "ok", _content(read))
        on_tissue = float(mask.contains(read.xy_um).mean())
        yield Check("cells on tissue", "ok" if on_tissue > 0.5 else "note", f"{on_tissue:.1%}")
    for warning in caught:
        yield Check("cells", "note", str(warning.message))


def _content(cells: Cells) -> str:
    parts = [f"{len(cells)} cells of {cells.source or 'memory'}"]
    if cells.outlines is None:
        parts.append("centroids without outlines")
    else:
        parts.append(f"median area {np.median(cells.area_um2):.4g} µm²")
    if cells.nuclei is not None:
        number = sum(nucleus is not None for nucleus in cells.nuclei)
        parts.append(f"{number} nuclei, {equivalent_diameter_um(cells):.3g} µm wide")
    if cells.classes is not None:
        names, numbers = np.unique(cells.classes, return_counts=True)
        order = np.argsort(-numbers, kind="stable")
        listed = ", ".join(f"{names[k] or 'none'} {numbers[k]}" for k in order[:_MOST_CLASSES])
        parts.append(f"classes {listed}" + (" …" if len(order) > _MOST_CLASSES else ""))
    return "; ".join(parts)
