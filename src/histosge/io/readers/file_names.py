"""Files of a section under the names that archives give them: with a prefix of the sample, and compressed."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

from histosge.errors import DataError, UsageError

__all__ = ["find", "matches", "opened", "prefix_of"]


def matches(folder: Path, *names: str) -> list[Path]:
    """Return the files of a folder with one of the names; exact ones alone, where there are some.

    Others have a prefix (``GSM6433599_117D_``), or end in ``.gz``.
    """
    if not folder.is_dir():
        return []
    exact = [folder / name for name in names if (folder / name).exists()]
    if exact:
        return exact
    ends = tuple(end for name in names for end in (name, f"{name}.gz"))
    return [path for path in sorted(folder.iterdir()) if _named(path.name, ends)]


def find(folder: Path, *names: str) -> Path | None:
    """Return the file of a folder with one of the names; the first name first, ``None`` without any.

    Raises
    ------
    UsageError
        When there are several candidates of which none has the exact name.
    """
    paths = matches(folder, *names)
    if len(paths) > 1 and paths[0].name not in names:
        listed = ", ".join(path.name for path in paths)
        raise UsageError(
            f"'{folder}' has several candidates for {names[0]}: {listed}. Put the files of each section into a folder "
            "of their own."
        )
    return paths[0] if paths else None


def prefix_of(path: Path, *names: str) -> str:
    """Return what stands before the name of a file: ``GSM6433599_117D_``."""
    name = path.name.removesuffix(".gz")
    return next((name.removesuffix(known) for known in names if name.endswith(known)), "")


def opened(path: Path) -> io.BytesIO | io.BufferedReader:
    """Open a file, decompressed into memory where it ends in ``.gz``.

    Raises
    ------
    DataError
        When it is truncated.
    """
    if path.suffix != ".gz":
        return path.open("rb")
    try:
        return io.BytesIO(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' is damaged or cut short ({error}). Copy it again.") from error


def _named(name: str, ends: tuple[str, ...]) -> bool:
    """Return whether a name is one of the endings, or ends in one after a separator."""
    return any(name == end or (name.endswith(end) and name[-len(end) - 1] in "_.-") for end in ends)
