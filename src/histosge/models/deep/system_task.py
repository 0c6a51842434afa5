"""The training task of a deep system: batches, loss and validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from histosge._runtime.types import Array

from .attended_spots import AttendedSpots
from .batches import refuse_too_large
from .definition import SystemDefinition
from .inputs import Batch, NetworkInputs
from .predictor import attending, rows_together
from .training import Validation

if TYPE_CHECKING:
    import torch

    Module: TypeAlias = Any

__all__ = ["SystemTask"]


@dataclass(frozen=True, slots=True, eq=False)
class SystemTask:
    """The training of a system; see :class:`histosge.models.deep.training.TrainingTask`.

    Parameters
    ----------
    model, network, inputs, targets
        The system, what is trained, and what it receives and outputs at all spots.
    attended
        The same spots as those attended to, where the system attends to training spots.
    training, validating
        Rows of the spots trained on and of the validation spots.
    windows, window_of
        Rows of each window of the spots trained on, and the window of each spot; without windows none, and −1.
    """

    model: SystemDefinition
    network: Module
    inputs: NetworkInputs
    targets: torch.Tensor
    attended: AttendedSpots | None
    training: Array
    validating: Array
    windows: list[Array]
    window_of: Array

    @classmethod
    def of(
        cls,
        model: SystemDefinition,
        network: Module,
        inputs: NetworkInputs,
        targets: Array,
        *,
        seed: int,
        device: str,
        validating: Array | None = None,
    ) -> SystemTask:
        """Divide the spots into training and validation spots, and those trained on into windows.

        Without ``validating``, validation spots are drawn: the share that the model's options name.
        """
        import torch

        total = len(inputs)
        if validating is None:
            validating = _drawn(total, model.validation, seed)
        training = np.setdiff1d(np.arange(total), validating)
        sections = None if inputs.sections is None else inputs.sections[training]
        windows = (
            []
            if not model.trains_jointly
            else model.batching.windows(training, inputs.xy[training], sections)
        )
        window_of = np.full(total, -1)
        for index, rows in enumerate(windows):
            window_of[rows] = index
        return cls(
            model=model,
            network=network,
            inputs=inputs,
            targets=torch.as_tensor(targets, device=device),
            attended=model.attended_spots(inputs, device),
            training=training,
            validating=np.sort(validating),
            windows=windows,
            window_of=window_of,
        )

    def batches(self, rng: np.random.Generator) -> Iterator[Array]:
        """Return an iterator over rows: of whole windows, or of independent spots."""
        batching = self.model.batching
        if self.model.trains_jointly:
            return iter(batching.window_batches(self.windows, rng))
        return iter(batching.batches(self.training, rng))

    def loss(self, batch: Array) -> torch.Tensor:
        """Return the system's own loss; over several windows, their mean weighted by their spots."""
        # the rows of a batch come window by window
        parts = np.split(batch, np.flatnonzero(np.diff(self.window_of[batch])) + 1)
        losses = [self._loss(self.network, rows) * (len(rows) / len(batch)) for rows in parts]
        total: torch.Tensor = sum(losses[1:], losses[0])
        return total

    def validation(self) -> Validation | None:
        """Return the loss at the validation spots, and what the best epoch is chosen by."""
        import torch

        rows = self.validating
        if not len(rows):
            return None
        # where all locations of a section attend to each other, validation spots do so with those trained on
        seen = np.arange(len(self.inputs)) if self.model.batching.by_section else rows
        sections = None if self.inputs.sections is None else self.inputs.sections[seen]
        pairs = []
        for part in rows_together(self.model, seen, self.inputs.xy[seen], sections):
            mask = torch.as_tensor(np.isin(part, rows), device=self.targets.device)
            target = self._targets(part)
            # the outputs of prediction, not of training: without augmentation
            pairs.append((self.model.validated(self.network, self._batch(part), target)[mask], target[mask]))
        total = sum(float(self.model.validation_loss(*pair)) * len(pair[0]) for pair in pairs if len(pair[0]))
        loss = total / len(rows)
        if self.model.criterion == "loss":
            return Validation(loss, loss)
        output, target = (torch.cat(side).float() for side in zip(*pairs, strict=True))
        return Validation(loss, -_mean_correlation(output, target))

    def refuse_too_large(self, device: str) -> None:
        """Refuse a batch of patches that does not fit into memory."""
        if self.model.needs.patch_px is None or self.model.trains_jointly:
            return
        batch = min(self.model.batch, len(self.training))
        refuse_too_large(
            self.network, lambda network, spots: self._loss(network, self.training[:spots]), batch, device
        )

    def _loss(self, network: Module, rows: Array) -> torch.Tensor:
        return self.model.loss(network, self._batch(rows), self._targets(rows))

    def _batch(self, rows: Array) -> Batch:
        return attending(
            self.inputs.batch(rows, str(self.targets.device)), self.attended, self.inputs.xy[rows]
        )

    def _targets(self, rows: Array) -> torch.Tensor:
        import torch

        return self.targets[torch.as_tensor(rows, device=self.targets.device)]


def _drawn(total: int, share: float, seed: int) -> Array:
    """Return the rows of the validation spots."""
    # a generator of its own: the division does not depend on what the network has drawn
    order = np.random.default_rng([seed, total]).permutation(total)
    # two validation spots at least, where there are any: one has no variance
    return order[: min(max(round(share * total), 2), total - 2) if share else 0]


def _mean_correlation(left: torch.Tensor, right: torch.Tensor) -> float:
    """Return the mean correlation of the columns; that of a constant column counts as 0."""
    left, right = left - left.mean(dim=0), right - right.mean(dim=0)
    norms = (left.norm(dim=0) * right.norm(dim=0)).clamp_min(1e-12)
    return float(((left * right).sum(dim=0) / norms).mean())
