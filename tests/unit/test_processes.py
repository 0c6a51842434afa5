"""Processes that compute tasks of a cohort: their threads, and what they do not waste."""

from __future__ import annotations

import os

import pytest

from histosge.workflow.executors import Processes


@pytest.mark.parametrize(("limit", "threads"), [("3", "3"), (None, str(os.cpu_count() or 1))])
def test_threads_of_linear_algebra_are_those_of_the_user_or_all_cores(
    monkeypatch: pytest.MonkeyPatch, limit: str | None, threads: str
) -> None:
    """OMP_NUM_THREADS holds for all libraries, and threads that wait for work do not compute."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_THREAD_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    if limit is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
    with Processes(1) as executor:
        seen = [
            executor.submit(os.getenv, name).result()
            for name in (
                "OMP_NUM_THREADS",
                "OPENBLAS_NUM_THREADS",
                "MKL_NUM_THREADS",
                "OPENBLAS_THREAD_TIMEOUT",
            )
        ]
    assert seen == [threads, threads, threads, "18"]
    # this process keeps its own
    assert "OPENBLAS_THREAD_TIMEOUT" not in os.environ
