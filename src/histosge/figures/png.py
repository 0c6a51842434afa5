"""Write figures as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histosge._runtime.atomic_files import atomic_path
from histosge.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_png"]

_SOFTWARE = "histosge"
# text comes before the pixels in the files that are written here
_START = 1 << 16


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return the path; the file appears whole or not at all.

    Raises
    ------
    UsageError
        When an image of another program is at ``path``: it may be a section's.
    OutputError
        When the disk is full.
    """
    if path.is_file() and not _is_own(path):
        raise UsageError(f"'{path}' is a file that histosge did not write; choose another `out`.")
    with atomic_path(path) as draft:
        figure.savefig(
            draft, format="png", bbox_inches="tight", pad_inches=0.08, metadata={"Software": _SOFTWARE}
        )
    return path


def _is_own(path: Path) -> bool:
    with path.open("rb") as stream:
        return f"Software\0{_SOFTWARE}".encode() in stream.read(_START)
