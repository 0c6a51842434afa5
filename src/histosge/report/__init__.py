"""The report of a run: one HTML file with tissue, genes, uncertainty and accuracy."""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.atomic_files import atomic_path
from histosge.io.own_files import refuse_foreign
from histosge.section.section import Section

from .contents import collect
from .page import render
from .side_by_side import holds_sections, write_sections

__all__ = ["holds_sections", "write", "write_sections"]


def write(folder: Path, *, section: Section | None = None, first: str | None = None) -> Path:
    """Write ``report.html`` into the folder of a run and return its path.

    The page opens from disk with no network and no server. It has all genes of a factored prediction, computed in
    the browser; of a prediction that is a matrix, as many as it has room for.

    Parameters
    ----------
    folder
        Folder of a run.
    section
        The section of the run: adds the image in its own resolution, and all counts. By default the page has those of
        the folder, an image of at most 2000 pixels a side.
    first
        Gene that is shown first; by default one that the run drew, else the most accurate one.

    Raises
    ------
    UsageError
        When the folder has no run, the section is not that of the run, or the gene is unknown.
    DataError
        When files of the run are damaged or were written by another version.

    Examples
    --------
    >>> write(Path("results"), first="EPCAM")  # doctest: +SKIP
    """
    path = folder / "report.html"
    refuse_foreign(path)
    page = render(collect(folder, section=section), first=first)
    with atomic_path(path) as draft:
        draft.write_text(page, encoding="utf-8")
    return path
