"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histosge.errors import OutputError, UsageError

__all__ = ["atomic_path", "output_errors", "writable_folder"]

# no space on the device, none left of a user's quota, a file larger than the system allows
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# a folder that other threads still fill is removed again after a pause
_ATTEMPTS, _PAUSE_S = 40, 0.05
_NO_PATH = (errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing ``path`` into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(
                f"The disk is full: writing '{path}' stopped. Free some space and run the same command again; "
                "finished parts are kept and reused."
            ) from error
        if error.errno in _FORBIDDEN:
            raise UsageError(f"No permission to write '{path}'. Choose another `out` folder.") from error
        if error.errno in _NO_PATH:
            raise UsageError(
                f"'{path}' cannot be a folder ({os.strerror(error.errno)}). Choose another `out` folder."
            ) from error
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there on success, remove it on failure.

    Works for a file and for a folder (a zarr store). What stood at ``path`` is replaced only once the new one is
    complete. What a killed process left of an earlier attempt is removed.
    """
    with output_errors(path):
        _make_folder(path.parent)
        _sweep(path)
        room = Path(tempfile.mkdtemp(prefix=f"{_mark(path)}{os.getpid()}.", dir=path.parent))
        draft = room / path.name
        try:
            yield draft
            _exchange(draft, path, room / "previous")
        except BaseException:
            _remove_while_written(room)
            raise
        shutil.rmtree(room, ignore_errors=True)


def _remove_while_written(folder: Path) -> None:
    """Remove a folder in which threads of a failed write may still create files, as those of zarr do."""
    absent = 0
    for _ in range(_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        # such a thread may also create the folder again
        absent = 0 if folder.exists() else absent + 1
        if absent > 2:
            return
        time.sleep(_PAUSE_S)


def _exchange(draft: Path, path: Path, previous: Path) -> None:
    """Move ``draft`` to ``path``; put the folder that stood there back where that fails."""
    # a file is replaced in one step; a folder must be moved away first
    if path.is_dir():
        path.rename(previous)
    try:
        os.replace(draft, path)
    except BaseException:
        if previous.exists():
            previous.rename(path)
        raise


def writable_folder(path: Path) -> Path:
    """Create ``path`` where it is missing, prove that files can be made in it, and return it.

    Raises
    ------
    UsageError
        When a file stands at ``path`` or above it, or the folder cannot be written.
    """
    with output_errors(path):
        _make_folder(path)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".histosge-"):
            pass
    return path


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(
            f"Expected a folder for the output, but '{path}' is a file. Choose another `out`."
        ) from error
    except FileNotFoundError as error:
        # with parents=True: a file system that takes no folders, such as /proc
        raise UsageError(f"No folder can be made at '{path}'. Choose another `out` folder.") from error


def _mark(path: Path) -> str:
    """Return how the names of temporary folders for ``path`` begin on this machine."""
    return f".{path.name}.{socket.gethostname()}."


def _sweep(path: Path) -> None:
    """Remove the temporary folders of processes of this machine that are no more."""
    mark = _mark(path)
    for room in path.parent.iterdir():
        pid = room.name.removeprefix(mark).partition(".")[0]
        if room.name.startswith(mark) and pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(room, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
