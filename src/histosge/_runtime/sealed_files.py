"""Files with a checksum of their content at the end, by which changed and damaged ones are noticed.

HDF5 ignores what follows its last object. A program that writes the file again leaves the checksum out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["refuse_broken_seal", "seal"]

_MARK = b"\nhistosge checksum "
_DIGITS = 32
_LENGTH = len(_MARK) + _DIGITS + 1
_CHUNK = 1 << 20


def seal(path: Path) -> None:
    """Append the checksum of a complete file.

    Raises
    ------
    OSError
        When the disk is full.
    """
    checksum = _checksum(path, path.stat().st_size)
    with path.open("ab") as stream:
        stream.write(_MARK + checksum + b"\n")


def refuse_broken_seal(path: Path) -> bool:
    """Refuse a file whose checksum is that of another content, and return whether it has one.

    Raises
    ------
    ValueError
        For a file that changed since it was written.
    """
    size = path.stat().st_size - _LENGTH
    if size < 0:
        return False
    with path.open("rb") as stream:
        stream.seek(size)
        end = stream.read(_LENGTH)
    if not end.startswith(_MARK):
        return False
    if end[len(_MARK) : -1] != _checksum(path, size):
        raise ValueError("its checksum is that of another content")
    return True


def _checksum(path: Path, size: int) -> bytes:
    """Return the hash of the first ``size`` bytes, as text."""
    digest = hashlib.blake2b(digest_size=_DIGITS // 2)
    with path.open("rb") as stream:
        while size > 0 and (chunk := stream.read(min(_CHUNK, size))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest().encode()
