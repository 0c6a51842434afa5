"""Own JSON files: written with a checksum, checked once against a schema when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from histosge.errors import DataError, UsageError

from .atomic_files import atomic_path
from .hashing import fingerprint

__all__ = ["read_record", "record_text", "refuse_changed", "with_checksum", "write_record"]

T = TypeVar("T")
_CHECKSUM = "checksum"


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record; the file appears whole or not at all.

    Raises
    ------
    OutputError
        When the disk is full.
    """
    with atomic_path(path) as draft:
        draft.write_text(record_text(content), encoding="utf-8")


def record_text(content: Mapping[str, Any]) -> str:
    """Return a record as JSON text with a checksum, by which changed and damaged files are noticed."""
    return json.dumps(with_checksum(content), indent=2) + "\n"


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its checksum as the first field.

    Examples
    --------
    >>> refuse_changed(with_checksum({"spots": 99}))
    >>> refuse_changed(with_checksum({"spots": 99}) | {"spots": 98})
    Traceback (most recent call last):
        ...
    ValueError: its checksum is that of another content
    """
    return {_CHECKSUM: _checksum(content), **content}


def refuse_changed(content: Mapping[str, Any]) -> None:
    """Refuse a record whose checksum is that of another content; one without a checksum is accepted.

    Raises
    ------
    ValueError
        For a changed record.
    """
    if _CHECKSUM not in content:
        return
    if content[_CHECKSUM] != _checksum({name: part for name, part in content.items() if name != _CHECKSUM}):
        raise ValueError("its checksum is that of another content")


def read_record(path: Path, kind: type[T], *, remedy: str) -> T:
    """Read a record that :func:`write_record` wrote.

    Parameters
    ----------
    path
        The file.
    kind
        Its schema, a ``msgspec.Struct`` or a dataclass: fields that are missing or of another type are refused.
    remedy
        What to do where the file is damaged, as a sentence.

    Raises
    ------
    UsageError
        When the file must not be read.
    DataError
        When it is missing, damaged, changed, or of another layout.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
        if _CHECKSUM not in content:
            raise ValueError("it has no checksum: another version wrote it, or it was changed")
        refuse_changed(content)
        del content[_CHECKSUM]
        return msgspec.convert(content, kind)
    except PermissionError as error:
        raise UsageError(f"No permission to read '{path}'.") from error
    # RecursionError: JSON nested a thousand deep
    except (OSError, ValueError, TypeError, RecursionError, msgspec.ValidationError) as error:
        raise DataError(f"'{path}' is damaged ({error}). {remedy}") from error


def _checksum(content: Mapping[str, Any]) -> str:
    # as text: JSON has lists where the values in memory are tuples
    return fingerprint(json.dumps(content, sort_keys=True))
