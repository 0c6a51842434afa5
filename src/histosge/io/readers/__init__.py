"""Readers: one file a format.

A reader is a :class:`Reader` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.readers`` of another package.
"""

from __future__ import annotations

from pathlib import Path

from histosge._runtime.messages import emit
from histosge._runtime.registry import Registry
from histosge.errors import DataError, UsageError
from histosge.section.section import Section

from .base import Reader, ReadOptions

__all__ = ["READERS", "read"]


READERS: Registry[Reader] = Registry("reader", Reader, [__name__], order=lambda reader: reader.priority)


def read(
    path: str | Path,
    *,
    image: str | Path | None = None,
    mpp: float | None = None,
    name: str | None = None,
    reader: str | None = None,
    bin_um: float | None = None,
    library_id: str | None = None,
    check: bool = True,
) -> Section:
    """Read a section, whatever its format.

    Parameters
    ----------
    path
        A Space Ranger folder, a Visium HD folder, a legacy ST folder, an h5ad, a SpatialData zarr; or an image alone,
        of which nothing was measured.
    image
        The full-resolution image; otherwise the sharpest that comes with the section.
    mpp
        µm per full-resolution pixel, where the pitch of the spots cannot tell or should not.
    name
        What to call it; by default after its folder or file.
    reader
        Name of the format where it is not recognised.
    bin_um
        Bin size of Visium HD; 16 where there is.
    library_id
        Library inside an h5ad or SpatialData store.
    check
        Whether to refuse an image that does not match the coordinates.

    Raises
    ------
    UsageError
        When the path, the format or an option does not exist.
    DataError
        When the data are damaged or do not belong together.
    """
    where = Path(path)
    if not where.exists():
        raise UsageError(f"Expected a section, found nothing at '{where}'. Check the path.")
    entry = READERS[reader] if reader is not None else _recognised(where)
    options = ReadOptions(None if image is None else Path(image), mpp, name, bin_um, library_id, not check)
    section = entry.read(where, options)
    if check:
        from histosge.section.alignment import refuse_misfit

        section = refuse_misfit(section)
    emit(section.messages)
    return section


def _recognised(path: Path) -> Reader:
    for entry in READERS.values():
        if entry.sniff(path):
            return entry
    known = "; ".join(entry.summary for entry in READERS.values())
    raise DataError(f"'{path}' is no section this package recognises. It reads: {known}.")
