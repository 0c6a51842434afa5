"""Plots, scanpy-shaped: thin faces of :mod:`histosge.figures`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ._scverse import Measured, section_of
from .figures import maps
from .prediction import Prediction
from .report import write as write_report
from .target import tissue_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["enhance", "overview", "report"]


def enhance(data: Measured, predictions: Sequence[tuple[str, Prediction]], genes: Sequence[str]) -> Figure:
    """Draw genes measured beside generated over the H&E: one row a gene, one column a labelled prediction."""
    return maps.marker_maps(section_of(data), predictions, genes)


def overview(data: Measured) -> Figure:
    """Draw the spots and the tissue's outline on the image, to see whether they belong together."""
    section = section_of(data)
    return maps.section_overview(section, mask=tissue_of(section))


def report(folder: Path, data: Measured | None = None, *, gene: str | None = None) -> Path:
    """Write ``report.html`` into the folder of a run, and return its path.

    Parameters
    ----------
    folder
        The ``out`` of :func:`histosge.run`.
    data
        The section that the run was given, for the image in its own resolution.
    gene
        The gene to open with.
    """
    return write_report(folder, section=None if data is None else section_of(data), first=gene)
