"""Space Ranger folders, versions 1 to 4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from histosge.errors import DataError, UsageError
from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import VISIUM, Platform
from histosge.section.section import Section

from .assemble import SectionParts, assemble
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
    parts = read_parts(outs, VISIUM, name)
    return assemble(_of_other_array(parts, options) if _is_square(parts) else parts, options)


def _is_square(parts: SectionParts) -> bool:
    """Return whether spots are on a square lattice: other arrays' tools write Space Ranger's folders too."""
    if parts.lattice_xy is None:
        return False
    try:
        return Lattice.fit(parts.xy_px, parts.lattice_xy).kind == "square"
    except DataError:
        # refused where the parts are assembled
        return False


def _of_other_array(parts: SectionParts, options: ReadOptions) -> SectionParts:
    """Return the parts without what is known of Visium: the pitch and the diameter of spots."""
    if options.mpp is None and parts.file_mpp is None:
        raise UsageError(
            f"The spots of '{parts.name}' are on a square lattice, those of Visium on a hexagonal one: their pitch is "
            "unknown. Give `mpp`, µm per full-resolution pixel."
        )
    other = replace(parts, platform=Platform("unknown", None, None, "square"), spot_px=None)
    return other.with_message("warning", "The lattice is square: this is no Visium section.")


ENTRIES = (
    Reader(
        "visium",
        "Space Ranger 1–4: outs, or a folder with spatial/ and a filtered matrix (h5 or mtx)",
        detect,
        read,
        priority=20,
        choices=(),
    ),
)
