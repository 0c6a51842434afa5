"""Coordinate the stages of a cohort: submit what is ready, wait, try lost ones again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any

import histosge
from histosge.workflow.executors import Executor, WorkerLostError

from .lease import LEASE_S
from .plan import CohortPlan, StageTask
from .plan_file import PlanFile
from .state import Outcome
from .task import is_done, run_stage

__all__ = ["coordinate"]

# a stage that another coordinator's worker has is asked for again after this time
_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
# tasks submitted ahead of free workers, so that none waits for the coordinator
_AHEAD = 2

Report = Callable[[Outcome], None]
Id = tuple[str, str]


def coordinate(
    plan: CohortPlan,
    tasks: Sequence[StageTask],
    executor: Executor,
    *,
    retries: int = 3,
    report: Report | None = None,
    lease_s: float = LEASE_S,
    work: Callable[..., Outcome] = run_stage,
) -> dict[Id, Outcome]:
    """Compute the tasks that are not done, in an order that their needs allow, and return how each ended.

    A stage that fails ends the stages that need it, and no other. A stage whose worker was lost is tried again.

    Parameters
    ----------
    plan, tasks
        As :meth:`CohortPlan.tasks` gives them.
    executor
        Whose workers compute; entered already.
    retries
        Attempts after the first, for stages that were lost.
    report
        Called with each stage that ended.
    lease_s
        Seconds after which the lease of a worker that does not renew it is void.
    work
        What a worker does with a task.
    """
    coordination = _Coordination(plan, tasks, executor, retries=retries, report=report)
    return coordination.run(work, lease_s)


class _Coordination:
    def __init__(
        self,
        plan: CohortPlan,
        tasks: Sequence[StageTask],
        executor: Executor,
        *,
        retries: int,
        report: Report | None,
    ) -> None:
        self.plan, self.executor, self.retries = plan, executor, retries
        self.file: PlanFile | None = None
        self.report = report or (lambda outcome: None)
        self.tasks = {task.id: task for task in tasks}
        self.ended: dict[Id, Outcome] = {}
        self.running: dict[Future[Any], StageTask] = {}
        self.attempts = dict.fromkeys(self.tasks, 0)
        # (time of the next attempt, task)
        self.later: list[tuple[float, StageTask]] = []
        # tasks that wait for others, by the number of those
        self.missing = {task.id: {need for need in task.after if need in self.tasks} for task in tasks}
        self.users: dict[Id, list[Id]] = {}
        for name, needs in self.missing.items():
            for need in needs:
                self.users.setdefault(need, []).append(name)
        self.ready = [task for task in tasks if not self.missing[task.id]]
        # taken from the end
        self.ready.reverse()

    def run(self, work: Callable[..., Outcome], lease_s: float) -> dict[Id, Outcome]:
        try:
            return self._run(work, lease_s)
        except KeyboardInterrupt:
            self._keep_interrupted()
            raise

    def _keep_interrupted(self) -> None:
        """Keep in the state which stages were at work: they are done again by the next call."""
        for future, task in self.running.items():
            if future.running() and not is_done(self.plan, task):
                reason = "It was interrupted. The same command goes on."
                self.plan.state.write(Outcome(task.sample, task.stage, task.key, "interrupted", reason))

    def _run(self, work: Callable[..., Outcome], lease_s: float) -> dict[Id, Outcome]:
        while len(self.ended) < len(self.tasks):
            self._wake()
            self._submit(work, lease_s)
            if self.running:
                done, _ = wait(self.running, timeout=_PAUSE_S, return_when=FIRST_COMPLETED)
                for future in done:
                    self._finish(self.running.pop(future), future)
            elif not self.ready:
                time.sleep(_PAUSE_S / 4)
        return self.ended

    def _wake(self) -> None:
        now = time.monotonic()
        self.ready += [task for when, task in self.later if when <= now]
        self.later = [(when, task) for when, task in self.later if when > now]

    def _submit(self, work: Callable[..., Outcome], lease_s: float) -> None:
        # asked for once: it is a question to the scheduler
        most = _AHEAD * self.executor.workers if self.ready else 0
        while self.ready and len(self.running) < most:
            task = self.ready.pop()
            if is_done(self.plan, task):
                self._end(Outcome(task.sample, task.stage, task.key, "done"), fresh=False)
                continue
            # written where there is something to do; a task carries its name and not the rows of all sections
            self.file = self.file or PlanFile.write(self.plan)
            arguments = (self.file, task, histosge.__version__, lease_s)
            self.running[self.executor.submit(work, *arguments)] = task

    def _finish(self, task: StageTask, future: Future[Any]) -> None:
        pause_s = 0.0
        try:
            outcome: Outcome = future.result()
            # the worker lives, and what it lacks, disk or memory, it will lack at once again: another may be free then
            pause_s = min(_PAUSE_S * 2.0 ** self.attempts[task.id], _LONGEST_PAUSE_S)
        except WorkerLostError as error:
            outcome = Outcome(task.sample, task.stage, task.key, "lost", str(error))
        except Exception as error:
            # the task could not be sent or its result not be read: not a fault of the section
            reason = f"{type(error).__name__}: {error}"
            outcome = Outcome(task.sample, task.stage, task.key, "lost", reason)
        if outcome.status == "held":
            self.later.append((time.monotonic() + _PAUSE_S, task))
            return
        if outcome.status == "lost":
            # it may have ended just before its worker did
            if is_done(self.plan, task):
                outcome = replace(outcome, status="done", reason="")
            else:
                self._retry(task, outcome, pause_s)
                return
        self._end(outcome)

    def _retry(self, task: StageTask, outcome: Outcome, pause_s: float) -> None:
        self.attempts[task.id] += 1
        if self.attempts[task.id] <= self.retries:
            self.later.append((time.monotonic() + pause_s, task))
            return
        reason = f"{outcome.reason} It was tried {self.attempts[task.id]} times; run the same command again to go on."
        self._end(self.plan.state.write(replace(outcome, status="failed", reason=reason)))

    def _end(self, outcome: Outcome, *, fresh: bool = True) -> None:
        name = outcome.sample, outcome.stage
        self.ended[name] = outcome
        if fresh:
            self.report(outcome)
        for user in self.users.get(name, ()):
            if user in self.ended:
                continue
            if outcome.status == "failed":
                self._end(self._not_begun(self.tasks[user], outcome))
                continue
            self.missing[user].discard(name)
            if not self.missing[user]:
                self.ready.insert(0, self.tasks[user])

    def _not_begun(self, task: StageTask, cause: Outcome) -> Outcome:
        if cause.sample == task.sample:
            reason = cause.reason
        else:
            reason = f"It needs '{cause.sample}', which failed: {cause.reason}"
        return self.plan.state.write(Outcome(task.sample, task.stage, task.key, "failed", reason))
