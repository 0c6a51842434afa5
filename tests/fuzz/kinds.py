"""Kinds of input: how a small whole one is made, which of its files are changed, and what is done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from changing_arrays import HDF5, IMAGE, PARQUET
from changing_bytes import BYTES, FILES, Operation
from changing_text import JSON, LINES, TABLE
from seen import Seen

__all__ = ["Kind", "operations_of"]

_JSON_NAMES = (".json", ".geojson", ".zattrs", ".zgroup", ".zmetadata")


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Parameters
    ----------
    name
        As typed after ``--kind``.
    make
        Write a whole input into an empty folder.
    use
        Do with the folder what a user does; the second folder is for outputs.
    changed
        Patterns of files that are changed, with the parts of the result that such a file may change where its format
        has no checksum. No parts: the file has a checksum, or is one of our own, so that any change of the result is
        wrong. ``NAME (missing)`` and ``NAME (rewritten)`` are files that are gone, or were written again by a program,
        which leaves the checksum of an HDF5 file out.
    share
        Of all mutations, relative to the other kinds: fewer for slow ones.
    plain
        Read counts and positions of a changed input without the package; ``None`` where only parts are compared.
    """

    name: str
    make: Callable[[Path], None]
    use: Callable[[Path, Path], Seen]
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    share: float = 1.0
    plain: Callable[[Path], dict[str, Any]] | None = None

    def may_change(self, file: str) -> tuple[str, ...]:
        """Return the parts of the result that a file may change."""
        names = (file, file.partition(" (")[0])
        found = (
            parts for name in names for pattern, parts in self.changed.items() if fnmatchcase(name, pattern)
        )
        return next(found, ())

    def files(self, folder: Path) -> list[str]:
        """Return the files of a whole input that are changed."""
        every = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return [name for name in every if any(fnmatchcase(name, pattern) for pattern in self.changed)]


def operations_of(file: str) -> dict[str, Operation]:
    """Return the structured changes for a file, by its name."""
    name = Path(file).name.removesuffix(".gz")
    suffix = Path(name).suffix or name
    if suffix in (".h5", ".h5ad"):
        return HDF5
    if suffix == ".parquet":
        return PARQUET
    if suffix in _JSON_NAMES:
        return JSON
    if suffix in (".csv", ".tsv"):
        return TABLE
    if suffix in (".toml", ".txt", ".mtx"):
        return LINES
    return IMAGE if suffix in (".png", ".jpg", ".jpeg", ".tif", ".tiff") else {}


def operation(file: str, name: str) -> Operation:
    """Return a change by its name; of the file's format first."""
    return (BYTES | FILES | operations_of(file))[name]
