"""Errors of the operating system and of damaged files as sentences with exit codes."""

from __future__ import annotations

import errno
import json
import lzma
import os
import zipfile
import zlib
from pickle import UnpicklingError

__all__ = ["sentence_of"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DAMAGED = (
    EOFError,
    RecursionError,
    UnpicklingError,
    json.JSONDecodeError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
# letters of a path or a name to print: some are longer than a screen
_LETTERS = 200


def sentence_of(error: Exception) -> tuple[str, int] | None:
    """Return a sentence and an exit code for an error that is the fault of a file or a path; else ``None``.

    Readers and writers have sentences of their own; these are for files that fail where none was expected to.

    Examples
    --------
    >>> sentence_of(FileNotFoundError(2, "No such file or directory", "spots.csv"))
    ("'spots.csv' cannot be opened: No such file or directory. Check the path and its permissions.", 2)
    """
    if isinstance(error, UnicodeEncodeError):
        name = ascii(_shortened(str(error.object)))
        return f"{name} has letters that files cannot hold. Rename it with letters of UTF-8.", 2
    if isinstance(error, UnicodeDecodeError):
        return f"A file is no text in UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8.", 3
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, _DAMAGED):
        return (
            f"A file is damaged or cut short ({_shortened(str(error))}). Copy it again, or write it again.",
            3,
        )
    return None


def _of_system(error: OSError) -> tuple[str, int]:
    reason = os.strerror(error.errno) if error.errno else _shortened(str(error))
    if error.errno in _FULL:
        return f"The disk is full ({reason}). Free some space and run the same command again.", 3
    if error.filename is None:
        return (
            f"A file cannot be read or written: {reason}. If it is damaged, copy it again, or write it again.",
            3,
        )
    path = _shortened(
        os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
    )
    return f"'{path}' cannot be opened: {reason}. Check the path and its permissions.", 2


def _shortened(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}…"
