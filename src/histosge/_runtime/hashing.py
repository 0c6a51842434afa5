"""A stable fingerprint of a value: the same on every machine, in every process."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .types import Array

__all__ = ["Converted", "fingerprint", "fingerprint_file", "fingerprint_path"]

_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """An array that is hashed as one of another type, without a copy of the whole."""

    array: Array
    dtype: np.dtype[Any]


def fingerprint(*values: Any) -> str:
    """Return 32 hex digits that depend on the content of ``values`` and on nothing else.

    Understands ``None``, booleans, numbers, strings, bytes, paths (by their text), NumPy arrays (dtype, shape,
    content), sequences, mappings (in key order) and dataclasses (class name and fields). A field of a dataclass with
    ``added_later`` in its metadata is left out where it has its default: hashes of older versions stay valid.

    Raises
    ------
    TypeError
        For any other type: a silent ``repr`` would make hashes depend on memory addresses.
    """
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        _feed(digest, value)
    return digest.hexdigest()


def fingerprint_file(path: Path) -> str:
    """Return 32 hex digits of a file's content; reads it in chunks of 1 MiB."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint_path(path: Path) -> str:
    """Return 32 hex digits of the content of a file, or of all files in a folder and their names."""
    if path.is_file():
        return fingerprint_file(path)
    # a format may be a folder of many files, such as zarr
    files = sorted(item for item in path.rglob("*") if item.is_file())
    return fingerprint([(str(item.relative_to(path)), fingerprint_file(item)) for item in files])


def _feed(digest: hashlib.blake2b, value: Any) -> None:
    """Add one value with its type in front, so that 1 and "1" differ."""
    if value is None or isinstance(value, (bool, int, float, str, Path, np.generic)):
        plain = value.item() if isinstance(value, np.generic) else value
        text = repr(plain) if not isinstance(plain, Path) else str(plain)
        digest.update(f"{type(plain).__name__}:{text};".encode())
    elif isinstance(value, bytes):
        digest.update(b"bytes:%d:" % len(value) + value)
    elif isinstance(value, np.ndarray):
        _feed_array(digest, value)
    elif isinstance(value, Converted):
        _feed_converted(digest, value)
    elif isinstance(value, Mapping):
        digest.update(b"{")
        for key in sorted(value, key=str):
            _feed(digest, key)
            _feed(digest, value[key])
        digest.update(b"}")
    elif isinstance(value, (tuple, list)):
        digest.update(b"[")
        for item in value:
            _feed(digest, item)
        digest.update(b"]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        digest.update(type(value).__name__.encode())
        held = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
        _feed(digest, {field.name: item for field, item in held.items() if not _is_unset(field, item)})
    else:
        raise TypeError(f"expected a plain value, an array or a dataclass to fingerprint, got {type(value)}")


def _is_unset(field: dataclasses.Field[Any], value: Any) -> bool:
    return "added_later" in field.metadata and value == field.default


def _feed_array(digest: hashlib.blake2b, array: Array) -> None:
    if array.dtype.kind in "OUST":
        # as a list of strings, at once: there are tens of thousands of genes
        items = "".join([f"str:{str(item)!r};" for item in array.ravel().tolist()])
        digest.update(f"[{items}]".encode())
        return
    digest.update(f"array:{array.dtype.newbyteorder('<').str}:{array.shape}:".encode())
    digest.update(np.ascontiguousarray(array).data)


def _feed_converted(digest: hashlib.blake2b, value: Converted) -> None:
    """Add what the converted array would add."""
    array, dtype = value.array.ravel(), value.dtype
    digest.update(f"array:{dtype.newbyteorder('<').str}:{value.array.shape}:".encode())
    for start in range(0, len(array), _CHUNK):
        digest.update(array[start : start + _CHUNK].astype(dtype).data)
