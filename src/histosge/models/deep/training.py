"""The training loop of all deep models: the only file that computes gradients."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from histosge._runtime.device import seed_everything
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.models.base import Runtime

from .checkpoint_file import read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    import torch

__all__ = ["TrainingConfig", "TrainingHistory", "TrainingInParts", "TrainingTask", "Validation", "train"]

# an interrupted fit loses no more than this; the first epoch is written at once
_CHECKPOINT_EVERY_S = 10.0
# devices on which every supported PyTorch takes an optimiser's step in one pass
_FUSED_ON = ("cpu", "cuda")


@runtime_checkable
class TrainingTask(Protocol):
    """What the training loop needs of a deep model: a network, batches and a loss."""

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

    def validation(self) -> Validation | None:
        """Return the loss on the validation spots, in evaluation mode; ``None`` without validation spots."""
        ...


@runtime_checkable
class TrainingInParts(TrainingTask, Protocol):
    """A task whose loss of a batch is a sum, of which one term at a time is in memory with what its gradient needs."""

    def losses(self, batch: Array) -> Iterator[torch.Tensor]:
        """Yield the terms of the loss of a batch; each is differentiated before the next is asked for."""
        ...


class Validation(NamedTuple):
    """Result on the validation spots; of each the smaller is the better.

    Parameters
    ----------
    loss
        Which early stopping watches.
    criterion
        By which the best epoch is chosen.
    """

    loss: float
    criterion: float


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How a network is trained; the configuration of every deep system begins with these options.

    Parameters
    ----------
    epochs
        Passes over the training spots, at most.
    learning_rate
        Of the first epoch.
    schedule
        Learning rate over the epochs: ``"constant"``, or ``"cosine"`` from ``learning_rate`` towards 0.
    warmup
        Epochs over which the learning rate grows linearly before the schedule begins.
    optimiser
        ``"adamw"``: Adam with decoupled weight decay (Loshchilov & Hutter 2019). ``"adam"``: weight decay is added
        to the gradient, as in PyTorch's Adam. ``"sgd"``: gradient descent with momentum 0.9.
    weight_decay
        Of the optimiser; 0 for none.
    clip
        Largest norm of the gradient; ``None`` does not clip.
    batch
        Spots per step. A network over windows of spots takes so many windows per step.
    validation
        Share of the spots that is not trained on but used for early stopping; 0 for none.
    patience
        Epochs without a better validation loss after which training stops and takes the weights of the best epoch.
        ``None`` trains all epochs and takes the last weights.
    better_than
        What a better validation loss is compared with: the ``"best"`` one so far, or that of the ``"previous"`` epoch.
    criterion
        By which the best epoch is chosen: the least ``"loss"``, or the greatest mean ``"correlation"`` of the genes.
    stops_by
        Whose loss early stopping watches: that of the ``"validation"`` spots, or that of the ``"training"`` spots. The
        latter needs no validation spots, and without them takes the weights of the last epoch.
    least_gain
        By how much a loss is smaller, at least, where it is better for early stopping.

    Raises
    ------
    UsageError
        For a value that cannot be trained with.
    """

    epochs: int = 1000
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    weight_decay: float = 0.0
    clip: float | None = None
    batch: int = 1
    validation: float = 0.0
    patience: int | None = None
    better_than: Literal["best", "previous"] = "best"
    criterion: Literal["loss", "correlation"] = "loss"
    stops_by: Literal["validation", "training"] = field(default="validation", metadata={"added_later": True})
    least_gain: float = field(default=0.0, metadata={"added_later": True})

    # of Adam where they are not PyTorch's: its decay rates of moments, and what is added to the denominator
    adam: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= self.epochs:
            raise UsageError(f"`warmup` must be from 0 to `epochs`, {self.epochs}; got {self.warmup}.")
        if self.epochs < 1 or self.batch < 1:
            raise UsageError(f"`epochs` and `batch` must be 1 or more, got {self.epochs} and {self.batch}.")
        if not self.learning_rate > 0:
            raise UsageError(f"`learning_rate` must be positive, got {self.learning_rate}. Try 0.001.")
        if self.weight_decay < 0:
            raise UsageError(f"`weight_decay` must be 0 or more, got {self.weight_decay}.")
        if not 0 <= self.validation < 1:
            raise UsageError(f"`validation` must be from 0 to below 1, got {self.validation}.")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"`patience` must be 1 or more, or none; got {self.patience}.")
        if self.patience is not None and self.validation == 0 and self.stops_by == "validation":
            raise UsageError(
                "Early stopping needs validation spots: set `validation` to 0.2, or `patience` to none."
            )
        if not self.least_gain >= 0:
            raise UsageError(f"`least_gain` must be 0 or more, got {self.least_gain}.")

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch (0 is the first).

        Examples
        --------
        >>> config = TrainingConfig(epochs=10, learning_rate=0.2, schedule="cosine")
        >>> config.learning_rate_at(0), round(config.learning_rate_at(5), 3)
        (0.2, 0.1)
        """
        if epoch < self.warmup:
            return self.learning_rate * (epoch + 1) / (self.warmup + 1)
        if self.schedule == "constant":
            return self.learning_rate
        done = (epoch - self.warmup) / (self.epochs - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """The loss curve of a training.

    Parameters
    ----------
    training, validation
        Mean loss of each epoch, and loss on the validation spots (empty without them).
    best_epoch
        The epoch whose weights are taken, counted from 1.
    best
        The criterion of that epoch.
    """

    training: tuple[float, ...] = ()
    validation: tuple[float, ...] = ()
    best_epoch: int = 0
    best: float = math.inf

    def with_epoch(
        self, training: float, validation: Validation | None, *, keep_best: bool
    ) -> TrainingHistory:
        """Return the history with one epoch more."""
        losses = (*self.training, training)
        if validation is None:
            return replace(self, training=losses, best_epoch=len(losses))
        # without patience the last epoch is taken, whatever its validation loss
        better = not keep_best or validation.criterion < self.best
        return TrainingHistory(
            losses,
            (*self.validation, validation.loss),
            len(losses) if better else self.best_epoch,
            validation.criterion if better else self.best,
        )

    def is_finished(self, config: TrainingConfig) -> bool:
        """Whether all epochs are done, or the loss watched has not improved for ``patience`` epochs."""
        losses = self.validation if config.stops_by == "validation" else self.training
        exhausted = config.patience is not None and _epochs_without_gain(losses, config) >= config.patience
        return len(self.training) >= config.epochs or (exhausted and bool(losses))


def _epochs_without_gain(losses: tuple[float, ...], config: TrainingConfig) -> int:
    """Return the number of last epochs whose loss was no better."""
    last, compared = 0, losses[0] if losses else math.inf
    for epoch, loss in enumerate(losses):
        # an equal loss is no better
        better = loss < compared - config.least_gain
        if better:
            last = epoch
        if better or config.better_than == "previous":
            compared = loss
    return max(len(losses) - last - 1, 0)


@dataclass
class _State:
    """Everything that changes during training; a checkpoint holds it as it is after an epoch."""

    optimiser: torch.optim.Optimizer
    history: TrainingHistory = field(default_factory=TrainingHistory)
    best: dict[str, torch.Tensor] = field(default_factory=dict)


def train(
    task: TrainingTask,
    config: TrainingConfig,
    *,
    seed: int,
    runtime: Runtime,
    after_epoch: Callable[[int], None] | None = None,
) -> TrainingHistory:
    """Train ``task.network`` in place and return the loss curve.

    Every epoch draws its own random numbers from ``seed`` and its number, so that training interrupted after any
    epoch and resumed from ``runtime.checkpoint`` ends with the same bits as training in one go. ``after_epoch`` is
    called with the number of each epoch, the network in evaluation mode.

    Raises
    ------
    DataError
        When the loss is not finite.
    OutputError
        When a checkpoint cannot be written.
    """
    import torch

    network = task.network
    # frozen layers have no moments in the optimiser, and none in the checkpoint
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    state = _State(_optimiser(parameters, config))
    read_checkpoint(runtime.checkpoint, runtime.device, partial(_resume, network, state))
    written_at = -math.inf
    while not state.history.is_finished(config):
        epoch = len(state.history.training)
        loss = _epoch(task, state.optimiser, config, epoch=epoch, seed=seed, runtime=runtime)
        # validation loss without dropout and with the running means of batch normalisation
        network.eval()
        with torch.no_grad(), _autocast(runtime):
            validation = task.validation()
        if after_epoch is not None:
            after_epoch(epoch + 1)
        state.history = state.history.with_epoch(loss, validation, keep_best=config.patience is not None)
        if config.patience is not None and validation is not None and state.history.best_epoch == epoch + 1:
            # a copy: the optimiser changes the weights in place
            state.best = {name: value.detach().clone() for name, value in network.state_dict().items()}
        if runtime.progress is not None:
            finished = state.history.is_finished(config)
            # a training that stopped early is complete
            runtime.progress(config.epochs if finished else epoch + 1, config.epochs, "fitting")
        if runtime.checkpoint is not None and time.monotonic() - written_at > _CHECKPOINT_EVERY_S:
            _write(network, state, runtime.checkpoint)
            written_at = time.monotonic()
    if state.best:
        network.load_state_dict(state.best)
    # as large as the weights, and of no more use
    network.zero_grad(set_to_none=True)
    network.eval()
    return state.history


def _optimiser(parameters: list[torch.nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    import torch

    rate, decay = config.learning_rate, config.weight_decay
    # one pass over the weights; operation by operation, a step takes as long as the gradients of these networks
    fused = all(parameter.device.type in _FUSED_ON for parameter in parameters)
    if config.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay, fused=fused)
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, lr=rate, weight_decay=decay, fused=fused, **config.adam)


def _epoch(
    task: TrainingTask,
    optimiser: torch.optim.Optimizer,
    config: TrainingConfig,
    *,
    epoch: int,
    seed: int,
    runtime: Runtime,
) -> float:
    """Take one step per batch and return the mean loss."""
    import torch

    # of the epoch's own, so that a resumed training draws the same numbers
    rng = np.random.default_rng([seed, epoch])
    seed_everything(int(rng.integers(2**31)))
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate_at(epoch)
    task.network.train()
    total, number = 0.0, 0
    for batch in task.batches(rng):
        optimiser.zero_grad(set_to_none=True)
        loss = _backward(task, batch, runtime)
        if config.clip is not None:
            torch.nn.utils.clip_grad_norm_(task.network.parameters(), config.clip)
        optimiser.step()
        # weighted by spots: the last batch may be smaller
        total, number = total + loss * len(batch), number + len(batch)
    if not math.isfinite(total):
        raise DataError(
            f"Expected a finite loss, got {total} in epoch {epoch + 1}. Lower `learning_rate` to "
            f"{config.learning_rate / 10:g}, or check the features."
        )
    return total / max(number, 1)


def _backward(task: TrainingTask, batch: Array, runtime: Runtime) -> float:
    """Add the gradient of the loss of a batch to the parameters, and return the loss."""
    terms = task.losses(batch) if isinstance(task, TrainingInParts) else map(task.loss, (batch,))
    total = 0.0
    while True:
        with _autocast(runtime):
            loss = next(terms, None)
        if loss is None:
            return total
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())


def _autocast(runtime: Runtime) -> Any:
    """Return the context of arithmetic: bf16 where the runtime has this precision."""
    import torch

    device = runtime.device.split(":")[0]
    return torch.autocast(device, dtype=torch.bfloat16, enabled=runtime.precision == "bf16")


def _write(network: torch.nn.Module, state: _State, folder: Path) -> None:
    """Write a checkpoint."""
    write_checkpoint(
        folder,
        {
            "network": network.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "best": state.best,
            "history": json.dumps(asdict(state.history)),
        },
    )


def _resume(network: torch.nn.Module, state: _State, content: Mapping[str, Any]) -> None:
    """Restore the state that a checkpoint was written of."""
    network.load_state_dict(content["network"])
    state.optimiser.load_state_dict(content["optimiser"])
    history = json.loads(content["history"])
    state.history = TrainingHistory(
        **history | {name: tuple(history[name]) for name in ("training", "validation")}
    )
    state.best = content["best"]
