"""The identity of an image file: a hash of all its bytes, computed once."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.hashing import fingerprint, fingerprint_file
from histosge.errors import HistosgeError

__all__ = ["file_identity"]

# smaller files are hashed faster than a cache is worth
_CACHED_BYTES = 64 << 20
# two changes within the resolution of a file system's clock leave the same times
_CLOCK_S = 2.0
_HASH = re.compile(r"[0-9a-f]{32}")


def file_identity(path: Path) -> str:
    """Return a hash of all bytes of an image, companion files included.

    Its name and time do not count, so that a copied image has the same hash. All bytes count, because an image that was
    corrected (mirrored, registered, normalised) and saved in place can keep its size, its first and its last part.

    The hash of a large file is kept in the user's cache folder, by the file's size, time of change and inode. These
    change with any write to it, so that the file is read again.
    """
    parts = _parts(path)
    if len(parts) == 1:
        return _hash(path)
    return fingerprint([(str(part.relative_to(path.parent)), _hash(part)) for part in parts])


def _parts(path: Path) -> list[Path]:
    """Return the files that an image consists of: some scanners write several."""
    suffix, folder = path.suffix.lower(), path.parent
    others: Iterable[Path] = ()
    if suffix == ".mrxs":
        # MIRAX: a small file of metadata, and the tiles in a folder of the same name
        others = path.with_suffix("").rglob("*")
    elif suffix in (".vms", ".vmu"):
        # Hamamatsu: files of tiles named after the first one
        others = (part for part in folder.iterdir() if part.name.startswith(path.stem))
    elif suffix == ".dcm":
        # DICOM: one file a level of the pyramid
        others = (part for part in folder.iterdir() if part.suffix.lower() == ".dcm")
    return sorted({path, *(part for part in others if part.is_file())})


def _hash(path: Path) -> str:
    """Return the hash of one file: the cached one, or that of all its bytes, which is cached then."""
    status = path.stat()
    if status.st_size < _CACHED_BYTES:
        return fingerprint_file(path)
    cached = _cache_folder() / _state(status)
    # neither a cache that cannot be read nor one that cannot be written is a reason to stop
    with suppress(OSError, UnicodeDecodeError):
        text = cached.read_text(encoding="ascii").strip()
        if _HASH.fullmatch(text):
            return text
    result = fingerprint_file(path)
    changing = time.time() - max(status.st_mtime, status.st_ctime) < _CLOCK_S
    if not changing and _state(path.stat()) == _state(status):
        with suppress(OSError, HistosgeError), atomic_path(cached) as draft:
            draft.write_text(result + "\n", encoding="ascii")
    return result


def _state(status: os.stat_result) -> str:
    """Return a hash of what changes with any write to a file; programs can set ``st_mtime`` back, not ``st_ctime``."""
    return fingerprint(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _cache_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("histosge")) / "image-hashes"
