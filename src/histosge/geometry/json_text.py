"""The text of a JSON file, plain or compressed, as other programs write it."""

from __future__ import annotations

import gzip
import mmap
import re
import tempfile
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

from histosge.errors import DataError, UsageError

__all__ = ["Text", "json_head", "json_text"]

#: the bytes of a file: in memory, or mapped where it is large
Text: TypeAlias = bytearray | mmap.mmap | memoryview

# files from this size on are mapped, so that their text is not in memory as a whole
_MAPPED_BYTES = 256 << 20
# a compressed file that unpacks to more is damaged, or made to fill the disk
_MOST_BYTES = 32 << 30
_CHUNK = 1 << 20
_GZIP, _ZIP, _BOM = b"\x1f\x8b", b"PK\x03\x04", b"\xef\xbb\xbf"
# a comma before the end of the last list, which some programs write and JSON does not allow
_LAST_COMMA = re.compile(rb",\s*\](\s*\})?\s*\Z")
_TAIL_BYTES = 4096


def json_text(path: Path) -> Text:
    """Return the text of a file: unpacked (gzip, or a zip of one file), without byte-order mark and last comma.

    Raises
    ------
    UsageError
        When there is no such file, or it must not be read.
    DataError
        When it cannot be unpacked.
    """
    try:
        with ExitStack() as stack:
            stream: Any = stack.enter_context(path.open("rb"))
            packed = _unpacking(stream, path, stack)
            if packed is not None:
                unpacked = stack.enter_context(tempfile.TemporaryFile())
                _copy(packed, unpacked, path)
                stream = unpacked
            text = _bytes_of(stream)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(f"Expected a GeoJSON file, got none at '{path}'.") from error
    except PermissionError as error:
        raise UsageError(f"No permission to read '{path}'.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"'{path}' cannot be unpacked ({error}). Copy it again.") from error
    _blank_last_comma(text)
    return memoryview(text)[len(_BOM) :] if text[: len(_BOM)] == _BOM else text


def _unpacking(stream: Any, path: Path, stack: ExitStack) -> Any:
    """Return a stream of the unpacked text, by the first bytes, whatever the file's name; ``None`` for plain."""
    first = stream.read(4)
    stream.seek(0)
    if first.startswith(_GZIP):
        return stack.enter_context(gzip.open(stream))
    if first != _ZIP:
        return None
    archive = stack.enter_context(zipfile.ZipFile(stream))
    names = [name for name in archive.namelist() if name.lower().endswith(("json", ".geojson"))]
    if len(names) != 1:
        raise DataError(
            f"Expected one GeoJSON file in '{path}', got {len(names)}. Unpack it and give one of them."
        )
    return stack.enter_context(archive.open(names[0]))


def _copy(packed: Any, unpacked: Any, path: Path) -> None:
    while chunk := packed.read(_CHUNK):
        unpacked.write(chunk)
        if unpacked.tell() > _MOST_BYTES:
            raise DataError(
                f"'{path}' unpacks to more than {_MOST_BYTES >> 30} GiB. Give fewer cells a file."
            )
    unpacked.flush()


def _bytes_of(stream: Any) -> bytearray | mmap.mmap:
    size = stream.seek(0, 2)
    stream.seek(0)
    if size >= _MAPPED_BYTES:
        # a copy on write: the file itself is never changed
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    return bytearray(stream.read())


def _blank_last_comma(text: bytearray | mmap.mmap) -> None:
    start = max(0, len(text) - _TAIL_BYTES)
    if (comma := _LAST_COMMA.search(text[start:])) is not None:
        text[start + comma.start()] = ord(" ")


def json_head(path: Path, size: int = 1 << 16) -> bytes:
    """Return the first bytes of the unpacked text, to tell layouts apart; none where it cannot be read."""
    try:
        with ExitStack() as stack:
            stream: Any = stack.enter_context(path.open("rb"))
            return bytes((_unpacking(stream, path, stack) or stream).read(size))
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, DataError):
        return b""
