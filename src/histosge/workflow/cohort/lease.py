"""Leases: which worker has a stage of a section, until when.

A lease is a file with an owner, renewed while its worker lives. It is too old when its time of change is more than
:data:`LEASE_S` before the time of change of a file made now. Both times are those of the storage, so that clocks of
machines that are off do not matter. It is made by a hard link, which exists whole or not at all on local disks and NFS.
The worker also locks the file: on its own machine it is seen at once that it was killed.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from histosge._runtime.atomic_files import lock, output_errors
from histosge.errors import UsageError

__all__ = ["LEASE_S", "Lease", "check_storage", "hold"]

#: seconds after which a lease that nobody renews is void: some renewals may be lost on a slow storage
LEASE_S = 30.0
_RENEWALS = 6


class Lease:
    """A file that says who works at a stage.

    Parameters
    ----------
    path
        The file.
    duration_s
        Seconds after which it is void unless it is renewed.
    """

    def __init__(self, path: Path, duration_s: float = LEASE_S) -> None:
        self.path = path
        self.duration_s = duration_s
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Take the lease where it is free or void, and return whether this worker has it now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        draft.write_text(json.dumps({"owner": self.owner, "duration_s": self.duration_s}))
        # locked before it is linked: a lease without a lock is that of a dead worker
        file = draft.open("r+")
        lock(file)
        try:
            if self._linked(draft) or (self._took_void(draft) and self._linked(draft)):
                self._file = file
                return True
            file.close()
            return False
        finally:
            draft.unlink(missing_ok=True)

    def _took_void(self, now: Path) -> bool:
        """Move a void lease away, and return whether none is there."""
        if not self._is_void(self.path, now):
            return False
        # of several workers that see a void lease, one alone moves it away
        grave = self.path.with_name(f".{self.path.name}.void.{uuid.uuid4().hex}")
        try:
            self.path.rename(grave)
        except FileNotFoundError:
            return True
        is_void = self._is_void(grave, now)
        if not is_void:
            # another worker took it in between: it is put back
            with suppress(FileExistsError):
                os.link(grave, self.path)
        grave.unlink(missing_ok=True)
        return is_void

    def _linked(self, draft: Path) -> bool:
        try:
            os.link(draft, self.path)
        except FileExistsError:
            return False
        return True

    def _is_void(self, path: Path, now: Path) -> bool:
        """Return whether a lease is too old, or that of a worker of this machine that is dead."""
        try:
            if path.stat().st_mtime + self.duration_s < now.stat().st_mtime:
                return True
            with path.open("r+") as file:
                here = f'"{socket.gethostname()}:' in file.read()
                return here and lock(file) is True
        except FileNotFoundError:
            return True

    def renew(self) -> bool:
        """Renew the lease, and return whether it is still this worker's."""
        if not self.is_held():
            return False
        with suppress(FileNotFoundError):
            os.utime(self.path)
        return True

    def is_held(self) -> bool:
        """Return whether the lease is this worker's."""
        try:
            return bool(json.loads(self.path.read_text())["owner"] == self.owner)
        except (OSError, ValueError, KeyError):
            return False

    def release(self) -> None:
        """Give the lease back, if it is still this worker's."""
        if self.is_held():
            self.path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()


@contextmanager
def hold(path: Path, duration_s: float = LEASE_S) -> Iterator[Lease | None]:
    """Yield the lease, renewed by a thread until the ``with`` block ends; ``None`` where another worker has it."""
    lease = Lease(path, duration_s)
    if not lease.acquire():
        yield None
        return
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(duration_s / _RENEWALS):
            with suppress(OSError):
                lease.renew()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join()
        lease.release()


def check_storage(folder: Path) -> None:
    """Refuse a storage on which two workers could take one lease: without hard links or without atomic rename.

    Raises
    ------
    UsageError
        For such a storage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe.{uuid.uuid4().hex}"
    linked = probe.with_suffix(".linked")
    missing = "hard links"
    try:
        with output_errors(probe):
            probe.write_text("probe")
        os.link(probe, linked)
        missing = "replacement of a file in one step"
        os.replace(linked, probe)
    except OSError as error:
        raise UsageError(
            f"The storage of '{folder}' has no {missing} ({errno.errorcode.get(error.errno or 0, 'error')}), by which "
            "workers agree on who computes what. Choose `out` on a local disk or on NFS."
        ) from error
    finally:
        for path in (probe, linked):
            path.unlink(missing_ok=True)
