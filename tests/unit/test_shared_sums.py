"""Sums of a fit are computed by other processes too, with the same bits, and data are read by them and not sent."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cokriging_samples import SAMPLES
from scipy import sparse
from test_streamed_fit import STREAMED, as_sparse

import histosge as hs
from histosge.errors import OutputError, UsageError
from histosge.models.base import Runtime
from histosge.models.cokriging.rows_on_disk import RowsOnDisk
from histosge.workflow.executors import DaskWorkers, FitWorkers, Processes
from histosge.workflow.executors.fit_workers import _computed


def refuse_other_bits(workers: FitWorkers) -> None:
    """Refuse a fit by workers whose arrays differ from those of a fit by this process."""
    alone = STREAMED.fit(as_sparse(SAMPLES)).arrays()
    shared = STREAMED.fit(as_sparse(SAMPLES), runtime=Runtime(workers=workers)).arrays()
    assert alone.keys() == shared.keys()
    assert [name for name, part in alone.items() if not np.array_equal(part, shared[name])] == []


def test_rows_are_read_from_the_folder(tmp_path: Path) -> None:
    """What is sent names the folder and the rows; the rows are those of the matrix."""
    matrix = sparse.random(500, 40, density=0.2, format="csr", random_state=0)
    rows = RowsOnDisk.write(tmp_path / "matrix", matrix)
    some = np.array([400, 3, 3, 77])
    assert rows.shape == (500, 40)
    sent = pickle.dumps(rows.take(some))
    assert len(sent) < 1000
    taken = pickle.loads(sent)
    assert (taken[np.arange(4)] != matrix[some]).nnz == 0
    assert (taken[np.array([2])] != matrix[[3]]).nnz == 0


def test_two_processes_give_the_same_bits(tmp_path: Path) -> None:
    """A fit whose sums two processes compute is that of this process, and leaves no file of a part behind."""
    with Processes(2) as executor:
        refuse_other_bits(FitWorkers(executor, tmp_path))
    assert list(tmp_path.glob("part-*")) == []
    assert sorted(path.name for path in (tmp_path / "expression").iterdir()) == [
        "data.npy",
        "indices.npy",
        "indptr.npy",
    ]


def test_workers_are_an_option_of_compute(tmp_path: Path) -> None:
    """`Compute(executor=…)` reaches the fit of a section, whose folder holds nothing of the workers afterwards."""
    section = hs.synthetic(columns=8, rows=8, genes=12).section
    recipe = hs.Recipe(
        genes="all", options={"streamed": 1, "exact": 1, "inducing_points": 30, "image": False}
    )
    alone = hs.fit(section, recipe)
    with Processes(1) as executor:
        shared = hs.fit(section, recipe, compute=hs.Compute(executor=executor), folder=tmp_path / "fit")
        with pytest.warns(match="Not used: other workers"):
            hs.fit(section, hs.Recipe("mean", genes="all"), compute=hs.Compute(executor=executor))
    left, right = (hs.predict(fit, section, hs.at_spots(section)).mean for fit in (alone, shared))
    assert np.array_equal(left, right)
    assert [path.name for path in (tmp_path / "fit").iterdir() if path.name.startswith(".")] == []


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    """Machines without common storage, and another version, are refused with how to go on."""
    with pytest.raises(OutputError, match="Choose `out` on storage that all machines"):
        _computed(str(tmp_path / "part"), hs.__version__)
    with pytest.raises(UsageError, match="Install the same on all machines"):
        _computed(str(tmp_path / "part"), "0.0.1")


@contextmanager
def killed_once(pids: list[int]) -> Iterator[None]:
    """Kill a process a moment after the ``with`` block has begun."""

    def kill() -> None:
        time.sleep(0.5)
        os.kill(pids[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.slow
def test_workers_of_dask_give_the_same_bits(tmp_path: Path) -> None:
    """Separate processes of a scheduler, one of which is killed, give the fit of one process to the last bit."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
        ) as cluster,
        DaskWorkers(cluster.scheduler_address) as executor,
    ):
        refuse_other_bits(FitWorkers(executor, tmp_path))
        pids = [int(nanny.pid) for nanny in cluster.workers.values()]
        with killed_once(pids):
            refuse_other_bits(FitWorkers(executor, tmp_path))
