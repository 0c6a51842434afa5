"""A file that HDF5 can close even where the disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["Sink", "hdf5_file"]


class Sink:
    """A binary file whose failed writes are remembered and raised later.

    The HDF5 library keeps what it could not write and tries again whenever it closes something, in the end while the
    interpreter shuts down, where the failure becomes a crash. So a failed write is not reported to it: from then on
    nothing is written, and :meth:`check` raises what happened.

    Parameters
    ----------
    file
        Opened for reading and writing, unbuffered.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: Any) -> int:
        """Write all of ``data``, or remember why not."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self._failure is None and len(left):
                left = left[self._file.write(left) :]
        except OSError as error:
            self._failure = error
        return size

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; with zeros where nothing could be written."""
        held = memoryview(buffer).cast("B")
        found = 0
        while found < len(held):
            part = self._file.read(len(held) - found)
            if not part:
                break
            held[found : found + len(part)] = part
            found += len(part)
        held[found:] = bytes(len(held) - found)
        return len(held)

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes from the position."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Set the file's size, or remember why not."""
        try:
            if self._failure is None:
                self._file.truncate(size)
        except OSError as error:
            self._failure = error
        return self._file.tell() if size is None else size

    def flush(self) -> None:
        """Nothing is buffered."""


@contextmanager
def hdf5_file(path: Path, **options: Any) -> Iterator[tuple[Any, Sink]]:
    """Open ``path`` for writing as HDF5, and close it; yield the file and the sink to be checked in between.

    Raises
    ------
    OSError
        When anything could not be written: the disk is full, the file too large.
    """
    import h5py

    with path.open("w+b", buffering=0) as raw:
        sink = Sink(raw)
        try:
            with h5py.File(sink, "w", **options) as file:
                yield file, sink
        except (RuntimeError, OSError, ValueError, KeyError):
            # what HDF5 says of a file that it could not write follows from the failure
            sink.check()
            raise
        sink.check()
