"""The interface of a reader: a format of measured sections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from histosge.section.section import Section

__all__ = ["ReadOptions", "Reader"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user chooses about a section beside its path; see :attr:`Reader.choices`.

    Parameters
    ----------
    image
        File of the full-resolution image; by default the sharpest image of the section.
    mpp
        µm per full-resolution pixel. It overrides the value that follows from the pitch of the spots, or the file's.
    name
        Name of the section; by default that of its folder or file.
    bin_um
        Bin size of Visium HD, µm; ``None`` means 16, or the largest where there are no such bins. Narrower bins are
        summed to a size that is a multiple of theirs.
    library_id
        Library inside an h5ad, region of a SpatialData store, or sample of an archive.
    trust_alignment
        Accept an image whose size disagrees with the pixel coordinates, with a warning instead of an error.
    """

    image: Path | None = None
    mpp: float | None = None
    name: str | None = None
    bin_um: float | None = None
    library_id: str | None = None
    trust_alignment: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """A registry entry.

    Parameters
    ----------
    name
        What users call the format: ``read(path, reader=NAME)``.
    summary
        What it reads, for ``histosge list readers``.
    detect
        Return whether a path has this format; cheap, and never an error.
    read
        Read the section. Damaged files raise a :class:`~histosge.errors.DataError`.
    priority
        Readers are tried in ascending order. Specific formats come before general ones, such as images.
    choices
        Which of ``bin_um`` and ``library_id`` the format has a use for; others are refused where a user gives them.
    """

    name: str
    summary: str
    detect: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], Section]
    priority: int = 60
    choices: tuple[str, ...] = ("bin_um", "library_id")
