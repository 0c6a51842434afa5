"""Write figures as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histosge._runtime.atomic_files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_png"]


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return the path; the file appears whole or not at all.

    Raises
    ------
    OutputError
        When the disk is full.
    """
    with atomic_path(path) as draft:
        figure.savefig(
            draft, format="png", bbox_inches="tight", pad_inches=0.08, metadata={"Software": "histosge"}
        )
    return path
