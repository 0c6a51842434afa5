"""What a process may read: files are closed to it, and those that it opens are recorded."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["close_files", "inside", "record_opened_files"]

# Linux system calls, the same on every processor: see landlock(7)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_FOLDER, _BENEATH = 1 << 2, 1 << 3, 1
_NO_NEW_PRIVILEGES = 38
# entries of a folder that are allowed one by one; in larger ones files stay open
_ENTRIES = 20_000
# what Python reads while it imports
_CODE = (".py", ".pyc", ".so", ".pyd")


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled", ctypes.c_uint64)]


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def close_files(paths: Iterable[Path]) -> bool:
    """Let this process and those that it starts no longer read files or folders, whoever owns them.

    The kernel refuses from then on (Landlock, Linux 5.13 and later), also to libraries that open files without Python.
    It cannot be undone. Elsewhere, and where the interpreter's own packages lie around ``paths``, nothing happens.

    Returns
    -------
    Whether they are closed.
    """
    closed = {path.resolve() for path in paths}
    around = {parent for path in closed for parent in path.parents}
    if not closed or not sys.platform.startswith("linux") or around & set(map(_resolved, sys.path)):
        return False
    try:
        _restrict(_allowed(closed, around))
    except OSError:
        return False
    return True


def record_opened_files() -> list[str]:
    """Return a list to which the path of every file is added that Python opens from now on."""
    opened: list[str] = []

    def record(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            opened.append(os.path.abspath(os.fsdecode(arguments[0])))

    sys.addaudithook(record)
    return opened


def inside(opened: Iterable[str], sources: Iterable[Path]) -> list[str]:
    """Return which of the opened files are among ``sources`` or in a folder of them; program code does not count."""
    folders = {path.resolve() for path in sources}
    opened_sources = []
    for name in dict.fromkeys(opened):
        path = _resolved(name)
        if path.suffix not in _CODE and (path in folders or folders & set(path.parents)):
            opened_sources.append(name)
    return opened_sources


def _resolved(name: str) -> Path:
    return Path(name or os.curdir).resolve()


def _allowed(closed: set[Path], around: set[Path]) -> list[Path]:
    """Return everything beside the closed paths, from the root down: rules allow, and none forbids."""
    allowed = []
    for folder in around:
        # a folder that cannot be listed cannot be read by what follows either
        names = os.listdir(folder) if os.access(folder, os.R_OK) else []
        if len(names) > _ENTRIES:
            raise OSError(f"'{folder}' has {len(names)} entries.")
        paths = ((folder / name).resolve() for name in names)
        # links may lead to the closed paths, or to what is around them
        allowed += [path for path in paths if not (path in closed | around or closed & set(path.parents))]
    return allowed


def _restrict(allowed: list[Path]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    handled = _Ruleset(_READ_FILE | _READ_FOLDER)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "The kernel has no Landlock.")
    try:
        for path in allowed:
            _allow(libc, ruleset, path)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.syscall(_RESTRICT_SELF, ruleset, 0):
            raise OSError(ctypes.get_errno(), "The kernel refuses.")
    finally:
        os.close(ruleset)


def _allow(libc: Any, ruleset: int, path: Path) -> None:
    try:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = _Rule(_READ_FILE | (_READ_FOLDER if path.is_dir() else 0), descriptor)
        # what cannot be a rule, such as a socket, cannot be read as a file
        libc.syscall(_ADD_RULE, ruleset, _BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
