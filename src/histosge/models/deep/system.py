"""The base of all deep systems: how each is fitted and restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from histosge._runtime.device import device_name, seed_everything
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.models.base import Crop, Model, Needs, Predictor, Runtime
from histosge.models.scaling import Targets
from histosge.section.inputs import Samples

from .definition import SystemDefinition
from .inputs import InputScaling, NetworkInputs
from .predictor import DeepPredictor
from .system_task import SystemTask
from .training import TrainingHistory, train

Module: TypeAlias = Any

__all__ = ["DeepSystem", "FeatureSystem", "SpotWindowSystem", "refuse_few_spots", "refuse_without_lattice"]

_MIN_SPOTS = 4


@dataclass(frozen=True, slots=True)
class DeepSystem(SystemDefinition, Model):
    """A deep system as a :class:`~histosge.models.base.Model`; the base class of all of them.

    Examples
    --------
    A new system is a network and what differs from the defaults:

    >>> from dataclasses import dataclass
    >>> from histosge.models import ModelCard
    >>> @dataclass(frozen=True, slots=True)
    ... class Plane(DeepSystem):
    ...     epochs: int = 5
    ...     batch: int = 32
    ...     card = ModelCard("plane", "Expression linear in position.", "", uses_position=True, deep=True)
    ...
    ...     def build_network(self, inputs, outputs):
    ...         import torch
    ...
    ...         class Network(torch.nn.Linear):
    ...             def forward(self, batch):
    ...                 return super().forward(batch.xy)
    ...
    ...         return Network(2, outputs)
    >>> Plane(epochs=1).uses_image
    False
    """

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> DeepPredictor:
        """Train the network.

        Raises
        ------
        UsageError
            For fewer than 4 spots, inputs that the network needs and the spots lack, or a batch of patches that does
            not fit into memory.
        DataError
            When the loss is not finite.
        """
        refuse_few_spots(samples)
        scaling = InputScaling.of(
            samples.inputs,
            self.needs,
            # features of several encoders have no common scale
            standardise=self.scales_features or bool(samples.inputs.joined),
            join_position=self.joins_position,
        )
        # training spots and later locations go through the same function and units
        inputs = self.network_inputs(scaling, samples.inputs)
        targets = self.targets_of(samples.dense_expression)
        encoded = targets.encode(samples.dense_expression)
        # the seed decides the first weights, and nothing that was drawn before it
        seed_everything(seed)
        network = self.build_network(inputs.columns, targets.width).to(runtime.device)
        initialisation = self.initialise(network, inputs, encoded)
        task = SystemTask.of(self, network, inputs, encoded, seed=seed, device=runtime.device)
        task.refuse_too_large(runtime.device)
        predictor = DeepPredictor(
            self,
            genes=samples.genes,
            network=network,
            scaling=scaling,
            targets=targets,
            # a predictor keeps the training spots only where locations attend to them
            training=inputs if task.attended is not None else None,
            fit_summary={},
            device=runtime.device,
        )
        watch = None if runtime.watch is None else partial(_watched, runtime.watch, predictor)
        history = train(task, self, seed=seed, runtime=runtime, after_epoch=watch)
        summary = _summary(history, inputs.columns, network, seed) | {"device": device_name(runtime.device)}
        if initialisation:
            summary["initialisation"] = initialisation
        return replace(predictor, fit_summary=summary)

    def restore(self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]) -> DeepPredictor:
        """Rebuild the predictor, on the CPU."""
        import torch

        targets = Targets(arrays["targets.mean"], arrays["targets.scale"], arrays.get("targets.loadings"))
        network = self.build_network(int(summary["inputs"]), targets.width)
        network.load_state_dict(
            {
                name.removeprefix("network."): torch.from_numpy(np.array(value))
                for name, value in arrays.items()
                if name.startswith("network.")
            }
        )
        network.eval()
        return DeepPredictor(
            self,
            genes=np.asarray(genes, dtype=str),
            network=network,
            scaling=InputScaling.from_arrays(arrays),
            targets=targets,
            training=NetworkInputs.from_arrays(arrays),
            fit_summary=summary,
        )


@dataclass(frozen=True, slots=True)
class FeatureSystem(DeepSystem):
    """Configuration of a deep system that reads image features.

    Parameters
    ----------
    crop_um, crop_px
        Width of the patch that the encoder reads, in µm, or in pixels of the full-resolution image (HisToSGE: 50).
        ``None`` for both takes the encoder's own.
    channel_order
        ``"bgr"``: red and blue swapped, as the released code does by reading with OpenCV.
    standardise
        Whether features get mean 0 and standard deviation 1 over the training spots. ``"auto"``: only where their
        overall standard deviation is not between 0.1 and 10. The released networks read the features of UNI as they
        come; those of an encoder with another gain (``texture``: 0.03) would vanish beside the position tables.
    """

    crop_um: float | None = None
    crop_px: int | None = 50
    channel_order: Literal["rgb", "bgr"] = "rgb"
    standardise: bool | Literal["auto"] = True

    @property
    def crop(self) -> Crop | None:
        """The patch where it is not the encoder's own."""
        if self.crop_um is None and self.crop_px is None and self.channel_order == "rgb":
            return None
        size_px = self.crop_px if self.crop_um is None else None
        return Crop(self.crop_um, size_px, self.channel_order)

    @property
    def needs(self) -> Needs:
        """Image features."""
        return Needs(features=True, crop=self.crop)

    @property
    def scales_features(self) -> bool | Literal["auto"]:
        """The option ``standardise``."""
        return self.standardise


def _watched(watch: Callable[[int, Predictor], None], predictor: DeepPredictor, epoch: int) -> None:
    """Show the predictor of an epoch; the network is trained in place."""
    watch(epoch, predictor)


@dataclass(frozen=True, slots=True)
class SpotWindowSystem(FeatureSystem):
    """Configuration of a deep system that reads image features of a patch as wide as a spot.

    Parameters
    ----------
    crop_diameters
        Width of the patch in diameters of a spot, unless ``crop_um`` or ``crop_px`` is set.

    Examples
    --------
    >>> SpotWindowSystem(batch=2).crop, SpotWindowSystem(crop_um=80.0, batch=2).crop.size_um
    (Crop(size_um=None, size_px=None, channel_order='rgb', size_diameters=1.0), 80.0)
    """

    crop_px: int | None = None
    crop_diameters: float = 1.0

    @property
    def crop(self) -> Crop:
        """A patch as wide as a spot, where no other width is set."""
        if self.crop_um is None and self.crop_px is None:
            return Crop(channel_order=self.channel_order, size_diameters=self.crop_diameters)
        return Crop(self.crop_um, self.crop_px if self.crop_um is None else None, self.channel_order)


def refuse_few_spots(samples: Samples) -> None:
    """Refuse fewer spots than a network is fitted to."""
    if len(samples) < _MIN_SPOTS:
        raise UsageError(f"Expected at least {_MIN_SPOTS} spots to fit, got {len(samples)}.")


def refuse_without_lattice(samples: Samples, model: str, advice: str) -> None:
    """Refuse to fit a model that reads lattice positions to spots without them."""
    if not np.isfinite(samples.inputs.locations.lattice_xy).all():
        raise UsageError(
            f"'{model}' reads the lattice positions of the spots fitted, which these do not have. {advice}"
        )


def _summary(history: TrainingHistory, inputs: int, network: Module, seed: int) -> dict[str, Any]:
    return {
        "epochs": len(history.training),
        "best_epoch": history.best_epoch,
        "loss_training": list(history.training),
        "loss_validation": list(history.validation),
        "inputs": inputs,
        "parameters": sum(value.numel() for value in network.parameters()),
        "seed": seed,
    }
