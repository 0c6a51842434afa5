"""The training loop of all deep models here: the only file in which gradients flow backwards."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.device import seed_everything
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.models.base import Runtime

if TYPE_CHECKING:
    import torch

__all__ = ["Course", "Schedule", "Task", "train"]

# a kill costs no more than this; the first epoch is kept at once
_CHECKPOINT_EVERY_S = 10.0
_STATE = "state.pt"


@runtime_checkable
class Task(Protocol):
    """What a deep model gives to the loop: a network, batches and a loss."""

    @property
    def network(self) -> torch.nn.Module:
        """The network, on its device; its parameters are trained in place."""
        ...

    def batches(self, rng: np.random.Generator) -> Iterator[Array]:
        """Yield the batches of one epoch as arrays of row numbers; ``rng`` shuffles."""
        ...

    def loss(self, batch: Array) -> torch.Tensor:
        """Return the loss of a batch; the network is in training mode."""
        ...

    def validation(self) -> float | None:
        """Return the loss on spots kept back, with the network in evaluation mode; ``None`` where there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn.

    Parameters
    ----------
    epochs
        At most.
    learning_rate
        Of Adam.
    weight_decay
        Decoupled (AdamW, Loshchilov & Hutter 2019); 0 is Adam.
    decay
        ``"constant"``, or ``"cosine"`` down to nothing over ``epochs``.
    patience
        Epochs without a better validation loss after which to stop and take the best epoch's weights; ``None`` goes
        on to the end and takes the last ones.
    clip
        Largest norm of the gradient; ``None`` leaves it.
    optimiser
        ``"adamw"``: weight decay apart from the gradient. ``"adam"``: added to it, as PyTorch's Adam has it.
        ``"sgd"``: gradient descent with momentum 0.9.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    decay: Literal["constant", "cosine"] = "constant"
    patience: int | None = None
    clip: float | None = None
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"`epochs` must be 1 or more, got {self.epochs}.")
        if not self.learning_rate > 0:
            raise UsageError(f"`learning_rate` must be positive, got {self.learning_rate}. Try 0.001.")
        if self.weight_decay < 0:
            raise UsageError(f"`weight_decay` must be 0 or more, got {self.weight_decay}.")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"`patience` must be 1 or more, or none at all; got {self.patience}.")

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch (0 is the first)."""
        if self.decay == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))


@dataclass(frozen=True, slots=True)
class Course:
    """How training went: the loss curve.

    Parameters
    ----------
    training, validation
        Mean loss of each epoch, and loss on the spots kept back (empty where there are none).
    best_epoch
        Whose weights were taken, counted from 1.
    """

    training: tuple[float, ...] = ()
    validation: tuple[float, ...] = ()
    best_epoch: int = 0

    def after(self, training: float, validation: float | None, *, keep_best: bool) -> Course:
        """Return the course with one more epoch."""
        losses = (*self.training, training)
        checks = self.validation if validation is None else (*self.validation, validation)
        better = validation is None or not keep_best or validation < min(self.validation, default=math.inf)
        return Course(losses, checks, len(losses) if better else self.best_epoch)

    def is_over(self, schedule: Schedule) -> bool:
        """Tell whether to stop."""
        done = len(self.training)
        waited = schedule.patience is not None and done - self.best_epoch >= schedule.patience
        return done >= schedule.epochs or (waited and bool(self.validation))


@dataclass
class _State:
    """All that changes while training; at an epoch's end, all that a checkpoint holds."""

    optimiser: torch.optim.Optimizer
    course: Course = field(default_factory=Course)
    best: dict[str, torch.Tensor] = field(default_factory=dict)


def train(task: Task, schedule: Schedule, *, seed: int, runtime: Runtime) -> Course:
    """Train ``task.network`` in place and return the loss curve.

    Every epoch draws its own random numbers from ``seed`` and its number, so that training interrupted after any
    epoch and resumed from ``runtime.checkpoint`` ends with the same bits as training in one go.

    Raises
    ------
    DataError
        When the loss is not finite.
    OutputError
        When a checkpoint cannot be written.
    """
    import torch

    network = task.network
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    state = _State(_optimiser(parameters, schedule))
    _resume(network, state, runtime)
    kept_at = -math.inf
    while not state.course.is_over(schedule):
        epoch = len(state.course.training)
        loss = _epoch(task, state.optimiser, schedule, epoch, seed, runtime)
        network.eval()
        with torch.no_grad(), _exactness(runtime):
            validation = task.validation()
        state.course = state.course.after(loss, validation, keep_best=schedule.patience is not None)
        if schedule.patience is not None and state.course.best_epoch == epoch + 1:
            state.best = {name: value.detach().clone() for name, value in network.state_dict().items()}
        if runtime.progress is not None:
            over = state.course.is_over(schedule)
            # stopped early is done
            runtime.progress(schedule.epochs if over else epoch + 1, schedule.epochs, "fitting")
        if runtime.checkpoint is not None and time.monotonic() - kept_at > _CHECKPOINT_EVERY_S:
            _keep(network, state, runtime.checkpoint)
            kept_at = time.monotonic()
    if state.best:
        network.load_state_dict(state.best)
    network.eval()
    return state.course


def _optimiser(parameters: list[torch.nn.Parameter], schedule: Schedule) -> torch.optim.Optimizer:
    import torch

    rate, decay = schedule.learning_rate, schedule.weight_decay
    if schedule.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay)
    kind = torch.optim.AdamW if schedule.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, lr=rate, weight_decay=decay)


def _epoch(
    task: Task, optimiser: torch.optim.Optimizer, schedule: Schedule, epoch: int, seed: int, runtime: Runtime
) -> float:
    """Go once through the batches; return their mean loss."""
    import torch

    rng = np.random.default_rng([seed, epoch])
    seed_everything(int(rng.integers(2**31)))
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(epoch)
    task.network.train()
    total, number = 0.0, 0
    for batch in task.batches(rng):
        optimiser.zero_grad(set_to_none=True)
        with _exactness(runtime):
            loss = task.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        if schedule.clip is not None:
            torch.nn.utils.clip_grad_norm_(task.network.parameters(), schedule.clip)
        optimiser.step()
        total, number = total + float(loss.detach()) * len(batch), number + len(batch)
    if not math.isfinite(total):
        raise DataError(
            f"Fitting went astray in epoch {epoch + 1}: the loss is not a number. Lower it with "
            f"--set learning_rate={schedule.learning_rate / 10:g}, or check the features."
        )
    return total / max(number, 1)


def _exactness(runtime: Runtime) -> Any:
    """Return the context of bf16 arithmetic, or of none."""
    import torch

    device = runtime.device.split(":")[0]
    return torch.autocast(device, dtype=torch.bfloat16, enabled=runtime.precision == "bf16")


def _keep(network: torch.nn.Module, state: _State, folder: Path) -> None:
    """Write a checkpoint."""
    import torch

    content = {
        "network": network.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "best": state.best,
        "course": json.dumps([state.course.training, state.course.validation, state.course.best_epoch]),
    }
    # torch's own writing does not say that a disk is full
    packed = io.BytesIO()
    torch.save(content, packed)
    with atomic_path(folder / _STATE) as draft:
        draft.write_bytes(packed.getbuffer())


def _resume(network: torch.nn.Module, state: _State, runtime: Runtime) -> None:
    """Go back to the last checkpoint, if there is one that is whole."""
    import torch

    path = None if runtime.checkpoint is None else runtime.checkpoint / _STATE
    if path is None or not path.exists():
        return
    try:
        content = torch.load(path, map_location=runtime.device, weights_only=True)
        network.load_state_dict(content["network"])
        state.optimiser.load_state_dict(content["optimiser"])
    except (RuntimeError, KeyError, ValueError, OSError, EOFError) as error:
        raise DataError(f"The checkpoint '{path}' is damaged ({error}). Delete it to start again.") from error
    training, validation, best_epoch = json.loads(content["course"])
    state.best = content["best"]
    state.course = Course(tuple(training), tuple(validation), best_epoch)
