"""Space Ranger folders, versions 1 to 4."""

from __future__ import annotations

from pathlib import Path

from histosge.errors import UsageError
from histosge.geometry.platforms import VISIUM
from histosge.section.section import Section

from .base import Reader, ReadOptions
from .draft import finish
from .spaceranger import draft_of, has_positions

__all__ = ["ENTRIES", "outs_of"]


def outs_of(path: Path) -> Path | None:
    """Return the folder with ``spatial/``: ``path``, its ``outs``, or the folder around a given ``spatial``."""
    if not path.is_dir():
        return None
    folders = [path, path / "outs", path.parent] if path.name == "spatial" else [path, path / "outs"]
    return next((folder for folder in folders if has_positions(folder)), None)


def sniff(path: Path) -> bool:
    """Tell a folder with positions of spots."""
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
    return finish(draft_of(outs, VISIUM, name), options)


ENTRIES = (
    Reader(
        "visium",
        "Space Ranger 1–4: outs, or a folder with spatial/ and a filtered matrix (h5 or mtx)",
        sniff,
        read,
        priority=20,
    ),
)
