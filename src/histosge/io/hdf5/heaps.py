"""The heaps in which HDF5 keeps text of any length: a damaged one holds its library up for ever."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from histosge.errors import DataError

__all__ = ["refuse_endless_heaps"]

# a global heap collection (HDF5 File Format Specification 3.0, III.E): signature, version 1, three bytes of 0, its size
_HEAP = re.compile(rb"GCOL\x01\0\0\0")
_HEAD, _SIZE = 16, 8
# of an object in it: index, number of references, four bytes of 0, size; objects are aligned to 8 bytes
_OBJECT, _ALIGNED = 16, 8


def refuse_endless_heaps(path: Path) -> None:
    """Refuse an HDF5 file with a heap in which the objects do not advance.

    The library walks over the objects of a heap by their sizes, and does not notice a size of 0 where there are no
    further objects: it never returns, and cannot be interrupted.

    Raises
    ------
    DataError
        For such a file.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for heap in _HEAP.finditer(content):
            if not _ends(content, heap.start()):
                raise DataError(
                    f"'{path}' is damaged (a heap of text at byte {heap.start()}). Copy it again."
                )


def _ends(content: mmap.mmap, start: int) -> bool:
    """Return whether a walk over the objects of a heap comes to its end."""
    end = start + _number(content, start + _SIZE)
    at = start + _HEAD
    while at + _OBJECT <= min(end, len(content)):
        size = _number(content, at + _SIZE)
        if int.from_bytes(content[at : at + 2], "little"):
            at += _OBJECT + -(-size // _ALIGNED) * _ALIGNED
        elif size:
            # the free rest, whose size counts its head too
            at += size
        else:
            return False
    return True


def _number(content: mmap.mmap, at: int) -> int:
    return int.from_bytes(content[at : at + 8], "little")
