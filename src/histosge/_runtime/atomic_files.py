"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from histosge.errors import OutputError, UsageError

__all__ = ["atomic_path", "holds_only", "lock", "output_errors", "refuse_foreign_folder", "writable_folder"]

# no space on the device, none left of a user's quota, a file larger than the system allows
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# a folder that other threads still fill is removed again after a pause
_ATTEMPTS, _PAUSE_S = 40, 0.05
_NO_PATH = (errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
# Windows has no such locks
fcntl: Any = import_module("fcntl") if os.name == "posix" else None
# inside a temporary folder: the lock of the process that uses it, and what stood at the path
_LOCK, _PREVIOUS = ".lock", ".previous"
_DAY_S = 24 * 3600.0


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
def atomic_path(path: Path, *, own: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there on success, remove it on failure.

    Works for a file and for a folder (a zarr store). What stood at ``path`` is replaced only once the new one is
    complete and on the disk. What a killed process left of an earlier attempt is removed.

    Parameters
    ----------
    path
        Where the file or folder is to appear.
    own
        Whether a folder at ``path`` was written by this program; any other folder with content is refused, since
        replacing it would delete all that it holds. ``None``: every folder with content is refused.

    Raises
    ------
    UsageError
        For a folder that is not this program's, and for a path that cannot be written.
    OutputError
        When the disk is full.
    """
    if path.name in ("", ".."):
        # a file cannot be moved to the folder that is being worked in, nor to the one above it
        raise UsageError(f"'{path}' is a folder, not the name of an output. Choose another `out`.")
    with output_errors(path):
        refuse_foreign_folder(path, own)
        _make_folder(path.parent)
        _sweep(path)
        with _temporary_folder(path) as folder:
            draft = folder / path.name
            yield draft
            _sync(draft)
            # it may have appeared since
            refuse_foreign_folder(path, own)
            _exchange(draft, path, folder / _PREVIOUS)


def refuse_foreign_folder(path: Path, own: Callable[[Path], bool] | None = None) -> None:
    """Refuse to replace a folder with content, unless ``own`` recognises it.

    Raises
    ------
    UsageError
        For such a folder.
    """
    if not path.is_dir() or not any(path.iterdir()) or (own is not None and own(path)):
        return
    raise UsageError(f"'{path}' is a folder that histosge did not write; choose another `out`.")


def holds_only(*names: str) -> Callable[[Path], bool]:
    """Return a function that recognises a folder by its entries: all of them are among ``names``."""
    return lambda folder: {entry.name for entry in folder.iterdir()} <= set(names)


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
    _sync_entry(path.parent)


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


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside ``path`` that is locked as long as this process lives and uses it."""
    folder = Path(tempfile.mkdtemp(prefix=_mark(path), dir=path.parent))
    try:
        with (folder / f"{_LOCK}.new").open("w") as file:
            lock(file)
            # other processes see the lock only once it is held
            (folder / f"{_LOCK}.new").rename(folder / _LOCK)
            yield folder
    except BaseException:
        _remove_while_written(folder)
        raise
    shutil.rmtree(folder, ignore_errors=True)


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


def lock(file: IO[str]) -> bool | None:
    """Lock an open file for this process.

    The lock goes with the process, however it ends, and holds between containers, whose processes have numbers of
    their own.

    Returns
    -------
    Whether the lock is held now; ``None`` where the system or the file system has no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sweep(path: Path) -> None:
    """Remove the temporary folders that no process uses any more."""
    mark = _mark(path)
    for folder in path.parent.iterdir():
        if folder.name.startswith(mark) and folder.is_dir() and not _in_use(folder):
            # a process that was killed between two renames left the only copy of a folder here
            if (folder / _PREVIOUS).exists() and not path.exists():
                (folder / _PREVIOUS).rename(path)
            shutil.rmtree(folder, ignore_errors=True)


def _in_use(folder: Path) -> bool:
    """Return whether a process may still write into a temporary folder."""
    try:
        with (folder / _LOCK).open("r+") as file:
            locked = lock(file)
    except OSError:
        # a process makes its lock an instant after its folder
        locked = None
    return folder.stat().st_mtime > time.time() - _DAY_S if locked is None else not locked


def _sync(path: Path) -> None:
    """Bring a file, or all files of a folder, from the system's memory to the disk.

    Otherwise a new name can be on the disk before the content that it stands for, and a power cut leaves an empty file.
    """
    for item in path.rglob("*") if path.is_dir() else (path,):
        if item.is_file():
            _sync_entry(item)


def _sync_entry(path: Path) -> None:
    # Windows opens no folders, and syncs only what is open for writing
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some file systems cannot; a full disk or a failing one is no such case
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)
