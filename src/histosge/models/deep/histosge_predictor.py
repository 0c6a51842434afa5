"""Fitting and asking a network that looks from places to places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array
from histosge.models.base import Block
from histosge.models.scaling import Targets
from histosge.section.inputs import Inputs

from .histosge_inputs import Numbers, Reading
from .windows import windows

if TYPE_CHECKING:
    import torch
    from scipy.spatial import cKDTree

    from .histosge import HisToSGE
    from .networks.histosge import Context, HisToSGENetwork

__all__ = ["AttendingPredictor", "Tutor", "network_of"]

# closer than this, in pitches, is the same place
_SAME = 1e-6
# places predicted at once: 2048 × 1000 genes are 8 MB
_ROWS = 2048


def network_of(model: HisToSGE, inputs: int, targets: int) -> HisToSGENetwork:
    """Return the untrained network of a configuration, for so many columns in and out."""
    from .networks.histosge import HisToSGENetwork, Shape

    return HisToSGENetwork(
        Shape(
            inputs,
            targets,
            width=model.width,
            heads=model.heads,
            head_width=model.head_width,
            shared_qkv=model.shared_qkv,
            learner=model.learner,
            hidden=model.hidden,
            relu=model.output == "relu",
            position=model.position,
            table_size=model.table_size,
            distance_bias=model.distance_bias,
            dropout=model.dropout,
        )
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """Numbers as tensors on the device."""

    features: torch.Tensor
    place: torch.Tensor
    xy: torch.Tensor

    @classmethod
    def of(cls, numbers: Numbers, device: str) -> _Seen:
        import torch

        parts = (numbers.features, numbers.place, numbers.xy)
        return cls(*(torch.as_tensor(np.array(part, dtype=np.float32), device=device) for part in parts))


@dataclass(frozen=True, slots=True, eq=False)
class _Gallery:
    """The spots fitted, as those that are looked at.

    Parameters
    ----------
    seen
        Their features and places, on the device.
    tree
        Finds the nearest ones.
    neighbours
        How many of them a place looks at; ``None``: all.
    """

    seen: _Seen
    tree: cKDTree
    neighbours: int | None

    @classmethod
    def of(cls, model: HisToSGE, numbers: Numbers, device: str) -> _Gallery:
        from scipy.spatial import cKDTree

        nearest = min(model.neighbours, len(numbers) - 1) if model.context == "neighbours" else None
        return cls(_Seen.of(numbers, device), cKDTree(numbers.xy), nearest)

    def context(self, network: HisToSGENetwork, xy: Array) -> Context:
        """Return whom places at ``xy`` look at; never a spot at the very same place, which is the place itself."""
        import torch

        from .networks.histosge import Context

        device = self.seen.xy.device
        if self.neighbours is None:
            tokens = network.tokens(self.seen.features, self.seen.place)
            distance = torch.cdist(torch.as_tensor(np.array(xy), device=device), self.seen.xy)
            return Context(tokens, hidden=distance < _SAME, distance=distance)
        chosen, apart = _nearest(self.tree, xy, self.neighbours)
        # spots that nobody looks at need no token
        rows, chosen = np.unique(chosen, return_inverse=True)
        index = torch.as_tensor(rows, device=device)
        return Context(
            network.tokens(self.seen.features[index], self.seen.place[index]),
            chosen=torch.as_tensor(chosen.reshape(apart.shape), device=device),
            distance=torch.as_tensor(apart, device=device),
        )


def _nearest(tree: cKDTree, xy: Array, number: int) -> tuple[Array, Array]:
    """Return the rows and distances of the nearest spots, leaving out one at the place itself."""
    distance, row = tree.query(xy, k=number + 1)
    itself = distance[:, :1] < _SAME
    distance = np.where(itself, distance[:, 1:], distance[:, :-1])
    return np.where(itself, row[:, 1:], row[:, :-1]), distance.astype(np.float32)


def _answers(network: HisToSGENetwork, seen: _Seen, gallery: _Gallery | None, xy: Array) -> torch.Tensor:
    """Return what the network answers at places that look at the gallery, or at each other."""
    import torch

    from .networks.histosge import Context

    tokens = network.tokens(seen.features, seen.place)
    if gallery is not None:
        answers: torch.Tensor = network(tokens, gallery.context(network, xy))
        return answers
    hidden = torch.eye(len(tokens), dtype=torch.bool, device=tokens.device)
    distance = torch.cdist(seen.xy, seen.xy)
    answers = network(tokens, Context(tokens, hidden=hidden, distance=distance))
    return answers


@dataclass(frozen=True, slots=True, eq=False)
class Tutor:
    """The training task: see :class:`histosge.models.deep.training.Task`.

    Parameters
    ----------
    model
        The configuration.
    network
        What is trained.
    numbers
        All spots fitted.
    gallery
        The same as those looked at; ``None`` where places look at each other inside windows.
    wanted
        What to answer, n × targets.
    learnt, kept_back
        Rows to learn from, and to check with.
    """

    model: HisToSGE
    network: HisToSGENetwork
    numbers: Numbers
    gallery: _Gallery | None
    wanted: torch.Tensor
    learnt: Array
    kept_back: Array

    @classmethod
    def of(cls, model: HisToSGE, numbers: Numbers, wanted: Array, seed: int, device: str) -> Tutor:
        """Make an untrained network and keep some spots back."""
        import torch

        from histosge._runtime.device import seed_everything

        seed_everything(seed)
        network = network_of(model, numbers.features.shape[1], wanted.shape[1]).to(device)
        gallery = None if model.context == "windows" else _Gallery.of(model, numbers, device)
        order = np.random.default_rng([seed, len(numbers)]).permutation(len(numbers))
        back = round(model.validation * len(numbers))
        # two at least, where any: a lone spot says nothing
        back = min(max(back, 2), len(numbers) - 2) if model.validation else 0
        target = torch.as_tensor(wanted, device=device)
        return cls(model, network, numbers, gallery, target, np.sort(order[back:]), np.sort(order[:back]))

    def batches(self, rng: np.random.Generator) -> Iterator[Array]:
        """Yield rows: of whole windows, or of any places."""
        if self.gallery is None:
            held = self._windows(self.learnt)
            order = rng.permutation(len(held))
            for start in range(0, len(order), self.model.batch):
                yield np.concatenate([held[index] for index in order[start : start + self.model.batch]])
            return
        rows = rng.permutation(self.learnt)
        for start in range(0, len(rows), self.model.batch):
            yield rows[start : start + self.model.batch]

    def loss(self, batch: Array) -> torch.Tensor:
        """Return the mean, or sum, of squared differences."""
        squares = self._squares(batch)
        return squares.mean() if self.model.loss == "mean" else squares.sum()

    def validation(self) -> float | None:
        """Return the mean squared difference at the spots kept back."""
        return float(self._squares(self.kept_back).mean()) if len(self.kept_back) else None

    def _squares(self, rows: Array) -> torch.Tensor:
        import torch

        # a batch holds whole windows of the spots learnt from, or is all that was kept back
        parts = [rows] if self.gallery is not None else self._windows(rows)
        answers = []
        for part in parts:
            numbers = self.numbers.take(part)
            seen = _Seen.of(numbers, str(self.wanted.device))
            answers.append(_answers(self.network, seen, self.gallery, numbers.xy))
        wanted = self.wanted[torch.as_tensor(np.concatenate(parts), device=self.wanted.device)]
        return (torch.cat(answers) - wanted) ** 2

    def _windows(self, rows: Array) -> list[Array]:
        """Return the windows of these rows."""
        cut = windows(self.numbers.xy[rows], self.model.window_size, self.model.window_order)
        return [rows[part] for part in cut]


@dataclass(frozen=True, slots=True, eq=False)
class AttendingPredictor:
    """A trained network; see :class:`histosge.models.base.Predictor`.

    Parameters
    ----------
    model
        The configuration.
    genes
        Names.
    network
        Trained.
    reading, targets
        How places become numbers, and answers expression.
    memory
        The spots looked at; ``None`` where places look at each other.
    learnt
        Plain values: loss curve, number of parameters.
    device
        Where it runs.
    """

    model: HisToSGE
    genes: Array
    network: HisToSGENetwork
    reading: Reading
    targets: Targets
    memory: Numbers | None
    learnt: Mapping[str, Any]
    device: str = "cpu"

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict some thousand places, or a window, at a time."""
        import torch

        gallery = None if self.memory is None else _Gallery.of(self.model, self.memory, self.device)
        for rows in self._together(inputs):
            numbers = self.reading.numbers(inputs.take(rows))
            with torch.no_grad():
                found = _answers(self.network, _Seen.of(numbers, self.device), gallery, numbers.xy)
            mean = self.targets.decode(found.float().cpu().numpy())
            yield rows, np.maximum(mean, 0) if self.model.output == "clipped" else mean, None

    def arrays(self) -> dict[str, Array]:
        """Return weights, scales and the spots looked at."""
        held = {f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        held |= self.reading.arrays() | self.targets.arrays()
        return held if self.memory is None else held | self.memory.arrays()

    def summary(self) -> dict[str, Any]:
        """Return loss curve, epochs and the number of parameters."""
        return dict(self.learnt)

    def _together(self, inputs: Inputs) -> Iterator[Array]:
        """Yield rows that are predicted together; outside of windows it makes no difference which."""
        if self.memory is None:
            for rows in windows(inputs.separated_xy_um, self.model.window_size, self.model.window_order):
                yield np.sort(rows)
            return
        for start in range(0, len(inputs), _ROWS):
            yield np.arange(start, min(start + _ROWS, len(inputs)))
