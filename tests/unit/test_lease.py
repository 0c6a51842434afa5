"""Leases: one worker at a time, and none for ever."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import pytest

from histosge.errors import UsageError
from histosge.workflow.cohort.lease import Lease, check_storage, hold


def test_a_held_lease_is_not_taken(tmp_path):
    """A second worker does not get a lease that the first one holds; it does after the first gives it back."""
    path = tmp_path / "A" / "fit.lease"
    first, second = Lease(path), Lease(path)
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    assert not first.is_held()


def test_a_lease_that_is_not_renewed_becomes_void(tmp_path):
    """A lease older than its duration, by the clock of the storage, is taken by another worker."""
    path = tmp_path / "fit.lease"
    first = Lease(path, duration_s=5)
    assert first.acquire()
    os.utime(path, (time.time() - 60, time.time() - 60))
    assert Lease(path, duration_s=5).acquire()
    assert not first.renew()


def test_a_clock_that_is_off_does_not_void_a_lease(tmp_path, monkeypatch):
    """The time of the machine plays no part: both times are those of the storage."""
    path = tmp_path / "fit.lease"
    first = Lease(path, duration_s=5)
    assert first.acquire()
    monkeypatch.setattr(time, "time", lambda: 1e10)
    assert not Lease(path, duration_s=5).acquire()


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path):
    """A worker that was killed on this machine holds nothing, before its lease is old."""
    path = tmp_path / "fit.lease"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom histosge.workflow.cohort.lease import Lease\n"
        "lease = Lease(Path(sys.argv[1]), 600)\nprint(lease.acquire(), flush=True)\ntime.sleep(60)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == "True"
    assert not Lease(path, duration_s=600).acquire()
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert Lease(path, duration_s=600).acquire()


def test_the_end_of_the_block_gives_the_lease_back(tmp_path):
    """``hold`` yields nothing while another has the lease, and leaves no file behind."""
    path = tmp_path / "fit.lease"
    with hold(path) as lease:
        assert lease is not None
        with hold(path) as other:
            assert other is None
    assert list(tmp_path.iterdir()) == []
    check_storage(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("call", "missing"), [("link", "hard links"), ("replace", "replacement of a file")])
def test_a_storage_on_which_two_workers_could_take_one_lease_is_refused(tmp_path, monkeypatch, call, missing):
    """A storage without hard links, or without replacement in one step, is one sentence, and nothing is left there."""

    def refused(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(f"histosge.workflow.cohort.lease.os.{call}", refused)
    with pytest.raises(UsageError, match=missing):
        check_storage(tmp_path)
    assert not list(tmp_path.iterdir())
