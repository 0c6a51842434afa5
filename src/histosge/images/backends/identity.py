"""A cheap identity of a large file."""

from __future__ import annotations

import os
from pathlib import Path

from histosge._runtime.hashing import fingerprint

__all__ = ["file_identity"]

_ENDS = 1 << 20


def file_identity(path: Path) -> str:
    """Return a hash of a file's size and of its first and last MiB.

    Its name and time do not count, so that a copied file has the same hash. Hashing all bytes of a slide would take
    longer than reading the patches of a section.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        first = stream.read(_ENDS)
        stream.seek(max(0, size - _ENDS), os.SEEK_SET)
        last = stream.read(_ENDS)
    return fingerprint(size, first, last)
