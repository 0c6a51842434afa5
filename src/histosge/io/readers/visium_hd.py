"""Visium HD: square bins of Space Ranger's ``binned_outputs``."""

from __future__ import annotations

import re
from pathlib import Path

from histosge.errors import UsageError
from histosge.geometry.platforms import visium_hd
from histosge.section.section import Section

from .assemble import assemble
from .base import Reader, ReadOptions
from .spaceranger import has_positions, read_parts

__all__ = ["ENTRIES"]

_BIN = re.compile(r"square_(\d+)um$")
# 2 µm bins hold few counts each, and there are millions; 16 µm is about the size of a cell
_DEFAULT_UM = 16.0


def detect(path: Path) -> bool:
    """Return whether the path is a ``square_*um`` folder, or contains some."""
    return path.is_dir() and bool(_bins(path))


def read(path: Path, options: ReadOptions) -> Section:
    """Read the bins of one size.

    Raises
    ------
    UsageError
        When there are no bins, or none of the size ``bin_um``.
    """
    bins = _bins(path)
    if not bins:
        raise UsageError(
            f"Expected folders square_*um with bins in '{path}', found none. Give the folder binned_outputs of Space "
            "Ranger, or leave the format to be detected."
        )
    size = options.bin_um or (_DEFAULT_UM if _DEFAULT_UM in bins else max(bins))
    if size not in bins:
        sizes = ", ".join(f"{size_um:g}" for size_um in sorted(bins))
        raise UsageError(
            f"Expected bins of {size:g} µm in '{path}', found {sizes}. Choose one with `bin_um`."
        )
    folder = bins[size]
    name = f"{folder.parent.parent.name if folder.parent.name == 'binned_outputs' else folder.parent.name}_{size:g}um"
    return assemble(read_parts(folder, visium_hd(size), name), options)


def _bins(path: Path) -> dict[float, Path]:
    """Return the folders of bins by their size in µm."""
    parents = (
        [path.parent]
        if _BIN.search(path.name)
        else [path, path / "binned_outputs", path / "outs/binned_outputs"]
    )
    only = path if _BIN.search(path.name) else None
    folders = {}
    for folder in (
        folder for parent in parents if parent.is_dir() for folder in sorted(parent.glob("square_*um"))
    ):
        size = _BIN.search(folder.name)
        if size and has_positions(folder) and only in (None, folder):
            folders[float(size.group(1))] = folder
    return folders


ENTRIES = (
    Reader(
        "visium_hd",
        "Visium HD: outs, binned_outputs, or one square_*um folder; `bin_um` chooses the bins",
        detect,
        read,
        priority=10,
        choices=("bin_um",),
    ),
)
