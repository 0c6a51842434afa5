"""A trained network as a predictor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from histosge._runtime.types import Array
from histosge.models.base import Block
from histosge.models.scaling import Targets
from histosge.section.inputs import Inputs

from .attended_spots import AttendedSpots
from .definition import SystemDefinition
from .inputs import Batch, InputScaling, NetworkInputs

Module: TypeAlias = Any

__all__ = ["DeepPredictor", "attending", "rows_together"]

# locations per forward pass: a patch of 224 pixels takes some 10 MB in VGG16; 2048 × 1000 genes are 8 MB
_ROWS_PATCHES, _ROWS_FEATURES = 64, 2048


@dataclass(frozen=True, slots=True, eq=False)
class DeepPredictor:
    """A trained network; see :class:`histosge.models.base.Predictor`.

    Parameters
    ----------
    model
        The definition of the system.
    genes
        Names of the genes.
    network
        Trained.
    scaling, targets
        From locations to the network's inputs, and from its outputs to expression.
    training
        Inputs of the training spots, where the system attends to them.
    fit_summary
        Plain values: loss curve, number of parameters.
    device
        Where the network is.
    """

    model: SystemDefinition
    genes: Array
    network: Module
    scaling: InputScaling
    targets: Targets
    training: NetworkInputs | None
    fit_summary: Mapping[str, Any]
    device: str = "cpu"

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict some thousand locations, or a window, at a time."""
        for rows, outputs in self.outputs(inputs):
            mean = self.targets.decode(outputs)
            yield rows, np.maximum(mean, 0) if self.model.clips_predictions else mean, None

    def outputs(self, inputs: Inputs) -> Iterator[tuple[Array, Array]]:
        """Yield ascending rows and the network's outputs there, on the CPU in 32 bits."""
        import torch

        attended = None if self.training is None else self.model.attended_spots(self.training, self.device)
        rows_of_all, sections = np.arange(len(inputs)), inputs.section_index
        for part in rows_together(self.model, rows_of_all, inputs.separated_xy_um, sections):
            # blocks are ascending; the network does not depend on the order inside a window
            rows = np.sort(part)
            with torch.no_grad():
                outputs = self.model.outputs(self.network, self._batch(inputs.take(rows), attended))
            # decoding is in 32 bits, also after bf16
            yield rows, outputs.float().cpu().numpy()

    def _batch(self, inputs: Inputs, attended: AttendedSpots | None) -> Batch:
        """Return the locations on the device."""
        read = self.model.network_inputs(self.scaling, inputs)
        return attending(read.batch(np.arange(len(inputs)), self.device), attended, read.xy)

    def arrays(self) -> dict[str, Array]:
        """Return weights, scales and the training spots attended to."""
        weights = {
            f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()
        }
        training = {} if self.training is None else self.training.arrays()
        return weights | self.scaling.arrays() | self.targets.arrays() | training

    def summary(self) -> dict[str, Any]:
        """Return loss curve, epochs and the number of parameters."""
        return dict(self.fit_summary)


def attending(batch: Batch, attended: AttendedSpots | None, xy: Array) -> Batch:
    """Return the batch, at ``xy``, with the training spots that it attends to."""
    return batch if attended is None else replace(batch, attended=attended.attended_from(xy))


def rows_together(
    definition: SystemDefinition, rows: Array, xy: Array, sections: Array | None = None
) -> Iterator[Array]:
    """Yield the rows, at ``xy``, that go through the network together: a window, or as many as memory allows."""
    if definition.trains_jointly:
        yield from definition.batching.windows(rows, xy, sections)
        return
    step = _ROWS_FEATURES if definition.needs.patch_px is None else _ROWS_PATCHES
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
