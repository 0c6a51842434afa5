"""Space Ranger folders, versions 1 to 4."""

from __future__ import annotations

from pathlib import Path

from histosge.errors import UsageError
from histosge.geometry.platforms import VISIUM
from histosge.section.section import Section

from .assemble import assemble
from .base import Reader, ReadOptions
from .spaceranger import has_positions, read_parts

__all__ = ["ENTRIES", "outs_of"]


def outs_of(path: Path) -> Path | None:
    """Return the folder with ``spatial/``: ``path``, its ``outs``, or for a ``spatial`` folder its parent."""
    if not path.is_dir():
        return None
    folders = [path, path / "outs", path.parent] if path.name == "spatial" else [path, path / "outs"]
    return next((folder for folder in folders if has_positions(folder)), None)


def detect(path: Path) -> bool:
    """Return whether the path is a folder of Space Ranger, or its ``outs`` or ``spatial`` folder."""
    return outs_of(path) is not None


def read(path: Path, options: ReadOptions) -> Section:
    """Read a Space Ranger folder.

    Raises
    ------
    UsageError, DataError
        When parts are missing, damaged, or belong to different sections.
    """
    outs = outs_of(path)
    if outs is None:
        raise UsageError(f"Expected a Space Ranger folder with 'spatial' in it, got '{path}'.")
    name = outs.parent.name if outs.name == "outs" else outs.name
    return assemble(read_parts(outs, VISIUM, name), options)


ENTRIES = (
    Reader(
        "visium",
        "Space Ranger 1–4: outs, or a folder with spatial/ and a filtered matrix (h5 or mtx)",
        detect,
        read,
        priority=20,
    ),
)
