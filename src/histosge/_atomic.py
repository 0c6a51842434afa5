"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._errors import OutputError, UsageError

__all__ = ["atomic_path", "output_errors", "writable_folder"]


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing ``path`` into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OutputError(
                f"The disk is full: writing '{path}' stopped. Free some space and run the same command again; "
                "finished parts are kept and reused."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UsageError(f"No permission to write '{path}'. Choose another --out folder.") from error
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there on success, remove it on failure.

    Works for a file and for a folder (a zarr store). What stood at ``path`` is replaced only once the new one is
    complete.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        draft = room / path.name
        try:
            yield draft
            if path.is_dir():
                path.rename(room / "previous")
            os.replace(draft, path)
        finally:
            shutil.rmtree(room, ignore_errors=True)


def writable_folder(path: Path) -> Path:
    """Create ``path`` where it is missing, prove that files can be made in it, and return it.

    Raises
    ------
    UsageError
        When a file stands at ``path`` or the folder cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"Expected a folder for the output, but '{path}' is a file. Choose another --out.")
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".histosge-"):
            pass
    return path
