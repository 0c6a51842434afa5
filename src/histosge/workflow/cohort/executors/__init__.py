"""Executors: where the stages of a cohort are computed.

An executor has the interface of :class:`concurrent.futures.Executor`: ``submit`` returns a future. A worker that ends
before its task raises :class:`~histosge.workflow.cohort.executors.base.WorkerLostError` from the future.
"""

from __future__ import annotations

from .base import Executor, WorkerLostError
from .dask_workers import DaskWorkers
from .processes import Processes

__all__ = ["DaskWorkers", "Executor", "Processes", "WorkerLostError"]
