"""What a reader is, and what it may be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from histosge.section.section import Section

__all__ = ["ReadOptions", "Reader"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user may say about a section beyond where it is.

    Parameters
    ----------
    image
        Full-resolution image.
    mpp
        µm per full-resolution pixel, against what the pitch says.
    name
        Name of the section; by default that of its folder or file.
    bin_um
        Bin size of Visium HD, µm.
    library_id
        Library inside an h5ad or SpatialData store.
    trust
        Take an image whose size is not that of the one the coordinates count, with a warning.
    """

    image: Path | None = None
    mpp: float | None = None
    name: str | None = None
    bin_um: float | None = None
    library_id: str | None = None
    trust: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """A registry entry.

    Parameters
    ----------
    name
        As given to ``--reader``.
    summary
        What it reads, for ``histosge list readers``.
    sniff
        Whether a path looks like this format; cheap, and never an error.
    read
        Read it.
    priority
        Readers are tried in ascending order: a format that others could be mistaken for comes first.
    """

    name: str
    summary: str
    sniff: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], Section]
    priority: int = 60
