"""A file that HDF5 can close even where the disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["Sink", "hdf5_file"]


class Sink:
    """A binary file whose failed writes are remembered and raised later.

    The HDF5 library keeps what it could not write and tries again whenever it closes an object, at last while the
    interpreter shuts down, where the failure becomes a crash. So a failed write is not reported to it: from then on
    nothing is written, and :meth:`check` raises the failure.

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
        """Write all of ``data``, or remember the failure."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self._failure is None and len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._failure = error
        return size

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from the position; with zeros beyond the end, where a write failed."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view):
            part = self._file.read(len(view) - filled)
            if not part:
                break
            view[filled : filled + len(part)] = part
            filled += len(part)
        view[filled:] = bytes(len(view) - filled)
        return len(view)

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes from the position."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, or remember the failure."""
        try:
            if self._failure is None:
                self._file.truncate(size)
        except OSError as error:
            self._failure = error
        return self._file.tell() if size is None else size

    def flush(self) -> None:
        """Do nothing: no data are buffered."""


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
            # errors of HDF5 after a failed write are consequences of that failure
            sink.check()
            raise
        sink.check()
