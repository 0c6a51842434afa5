"""A run's report: one HTML file to look at tissue and genes with, and to know how far to trust what one sees."""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.atomic_files import atomic_path
from histosge.section.section import Section

from .contents import collect
from .page import render

__all__ = ["write"]


def write(folder: Path, *, section: Section | None = None, first: str | None = None) -> Path:
    """Write ``report.html`` into the folder of a run and return its path.

    The page opens from disk with no network and no server. It holds all genes of a factored prediction, computed in
    the browser; of a prediction that is a matrix, as many as it has room for.

    Parameters
    ----------
    folder
        The ``--out`` of a run.
    section
        What the run was given: adds the image in its own resolution, and all counts. ``None`` takes what the folder
        holds: an image of at most 2000 pixels a side.
    first
        The gene to open with.

    Raises
    ------
    UsageError
        When the folder holds no run, the section is another one than the run's, or the gene is unknown.
    DataError
        When files of the run are damaged or were written by another version.
    """
    page = render(collect(folder, section=section), first=first)
    path = folder / "report.html"
    with atomic_path(path) as draft:
        draft.write_text(page, encoding="utf-8")
    return path
