"""iStar (Zhang et al. 2024): expression of superpixels, learnt from spots that are the means of theirs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import ModelCard, Needs, Predictor, Runtime, Windows
from histosge.models.deep.inputs import Batch, InputScaling, NetworkInputs
from histosge.models.deep.system import SpotWindowSystem, refuse_few_spots
from histosge.models.scaling import Targets
from histosge.prediction.principal_components import principal_axes
from histosge.section.inputs import Inputs, Samples

from .raw_counts import fit_to_counts, restored_of_counts

if TYPE_CHECKING:
    import torch

__all__ = ["IStar"]

# windows of the two scales, in superpixels of the original: its box filters are 4 and 16 superpixels wide
_FINE, _CONTEXT = 4.0, 16.0
# superpixels along the diameter of a Visium spot: 55 µm in the original's 8 µm
_ORIGINAL = 55 / 8
# 256 pixels of the original's 0.5 µm
_BLANK_EDGE_UM = 128.0
# steps of an epoch, where spots are few
_STEPS = 16


@dataclass(frozen=True, slots=True)
class IStar(SpotWindowSystem):
    """Configuration.

    Further options are those of :class:`~histosge.models.deep.system.SpotWindowSystem` and
    :class:`~histosge.models.deep.training.TrainingConfig`.

    A spot consists of superpixels, for each of which the network predicts from two scales of image features: a window
    of 32 µm on Visium at the superpixel, and one of 128 µm around the location. The loss compares their mean with the
    spot. Locations smaller than the fitted spots (bins, cells, sub-spots) are predicted as the mean over the fewer
    superpixels in them.

    The default is made for a CPU, and differs from the published network in four ways: superpixels are twice as wide
    (9 in a spot, not 37), features are reduced to 64 components at each scale, the network predicts 30 factors of the
    genes and not each gene, and one network is fitted and not five. The preset ``published`` has none of the four, and
    is fitted to raw counts.
    ``five`` is the default with five networks; ``spot`` averages features over the spot in place of predictions, which
    shows what superpixels are good for.

    Parameters
    ----------
    superpixels
        Along the diameter of a spot.
    components
        Principal components of the features at each scale; ``None``: the features themselves.
    factors
        Of the genes, which the network predicts; ``None``: each gene, between its smallest and its largest value.
    replicas
        Networks, whose median is taken.
    averaged
        What is averaged over the superpixels of a location.
    scale
        What is fitted: log1p(CP10k), as by every model, or raw counts and their total, as published.
    blank_edge
        Whether features of the last 128 µm of the image at the bottom and on the right are 0, as in the code, which
        pads the image to a multiple of that. No preset has it on.

    Examples
    --------
    >>> [windows.number for windows in IStar().needs.windows], IStar(superpixels=55 / 8).needs.windows[0].number
    ([9, 1], 37)
    """

    superpixels: float = _ORIGINAL / 2
    components: int | None = 64
    factors: int | None = 30
    replicas: int = 1
    averaged: Literal["predictions", "features"] = "predictions"
    scale: Literal["cp10k", "counts"] = "cp10k"
    blank_edge: bool = field(default=False, metadata={"added_later": True})
    optimiser: Literal["adamw", "adam", "sgd"] = "adam"
    learning_rate: float = 1e-4
    batch: int = 128
    epochs: int = 400

    card: ClassVar[ModelCard] = ModelCard(
        "istar",
        "Expression of the superpixels of which spots are the means (iStar).",
        "zhang2024istar",
        uses_position=False,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "five": {"replicas": 5},
        "published": {
            "superpixels": _ORIGINAL,
            "components": None,
            "factors": None,
            "replicas": 5,
            "standardise": "auto",
            "scale": "counts",
        },
        "spot": {"averaged": "features"},
    }

    def validate(self) -> None:
        """Refuse sizes that are not positive, and superpixels as large as a spot."""
        refuse_nonpositive(self, "crop_diameters", "replicas")
        for name in ("components", "factors"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"`{name}` must be 1 or more, or none; got {value}.")
        if not 1 <= self.superpixels <= 32:
            raise UsageError(f"`superpixels` must be from 1 to 32, got {self.superpixels}. iStar has 6.9.")

    @property
    def offsets(self) -> tuple[tuple[float, float], ...]:
        """From the centre of a spot to that of each superpixel, in widths of the patch; row by row."""
        radius = self.superpixels / 2
        steps = range(-math.floor(radius), math.floor(radius) + 1)
        inside = [(x, y) for y in steps for x in steps if math.hypot(x, y) <= radius]
        return tuple((x / self.superpixels, y / self.superpixels) for x, y in inside)

    @property
    def needs(self) -> Needs:
        """Image features of each superpixel and of the surroundings, and the mean colour."""
        fine, context = _FINE / _ORIGINAL, _CONTEXT / _ORIGINAL
        # offsets count widths of the windows, which are wider than superpixels
        at = tuple((x / fine, y / fine) for x, y in self.offsets)
        windows = (Windows(at, fine), Windows(share=context))
        edge_um = _BLANK_EDGE_UM if self.blank_edge else 0.0
        return Needs(features=True, colour=True, crop=self.crop, windows=windows, blank_edge_um=edge_um)

    @property
    def clips_predictions(self) -> bool:
        """Factors can add up to less than 0."""
        return True

    def targets_of(self, expression: Float[np.ndarray, "n g"]) -> Targets:
        """Return genes between 0 and 1 over the fitted spots, or their principal components."""
        low = expression.min(axis=0).astype(np.float64)
        span = expression.max(axis=0) - low
        scale = np.where(span > 0, span, 1.0)
        if self.factors is None:
            return Targets(low, scale)
        mean = expression.mean(axis=0)
        factors = min(self.factors, *expression.shape)
        return Targets(mean, scale, principal_axes((expression - mean) / scale, factors, exact=True))

    def network_inputs(self, scaling: InputScaling, inputs: Inputs) -> NetworkInputs:
        """Return features and colour, and the diameter of locations, which says how many superpixels they have."""
        read = SpotWindowSystem.network_inputs(self, scaling, inputs)
        features = np.asarray(read.features)
        diameter = np.full((len(features), 1), inputs.locations.points.diameter_um, dtype=np.float32)
        return replace(read, features=np.concatenate([features, diameter], axis=1))

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> Predictor:  # type: ignore[override]
        """Train the network, with sixteen steps an epoch where spots are few.

        Raises
        ------
        UsageError
            For fewer than 4 spots, or image features that are missing.
        DataError
            When the loss is not finite.
        """
        refuse_few_spots(samples)
        if self.scale != "cp10k":
            plain = replace(self, scale="cp10k")
            return fit_to_counts(plain, samples, self.scale, seed=seed, runtime=runtime)
        batch = max(self.min_batch, min(self.batch, len(samples) // _STEPS))
        xy = samples.inputs.separated_xy_um
        # rows in the order of positions: a fit does not depend on the order of a file
        ordered = samples.take(np.lexsort((xy[:, 0], xy[:, 1])))
        trained = SpotWindowSystem.fit(replace(self, batch=batch), ordered, seed=seed, runtime=runtime)
        return replace(trained, model=self)

    def restore(self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]) -> Predictor:  # type: ignore[override]
        """Rebuild the predictor, on the CPU."""
        if self.scale != "cp10k":
            return restored_of_counts(replace(self, scale="cp10k"), genes, arrays, summary, self.scale)
        return SpotWindowSystem.restore(self, genes, arrays, summary)

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.istar import IStarNetwork

        number = len(self.offsets)
        width, rest = divmod(inputs - 4, number + 1)
        if rest or width < 1:
            raise UsageError(
                f"Expected image features of {number + 1} windows around each location and its colour, side by side; "
                f"got {inputs - 1} columns. Let the workflow compute them."
            )
        return IStarNetwork(
            width,
            outputs,
            # in radii of a spot
            offsets_radii=tuple(2 * math.hypot(x, y) for x, y in self.offsets),
            components=self.components,
            replicas=self.replicas,
            positive=self.factors is None,
            averages_features=self.averaged == "features",
        )

    def initialise(self, network: Any, inputs: NetworkInputs, targets: Float[np.ndarray, "n t"]) -> str:
        """Give the network the diameter of the fitted spots, and the principal axes of their features."""
        import torch

        features = np.asarray(inputs.features)
        network.diameter_um.fill_(float(features[0, -1]))
        if self.components is None:
            return ""
        number = len(self.offsets) * network.inputs
        fine = features[:, :number].reshape(-1, network.inputs)
        context = features[:, number : number + network.inputs]
        for name, values in (("basis", fine), ("context_basis", context)):
            basis = getattr(network, name)
            axes = _axes(values, basis.shape[1])
            # fewer spots than components leave the last columns 0
            basis.zero_()
            basis[:, : axes.shape[1]] = torch.as_tensor(axes, device=basis.device)
        return ""

    def loss(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the sum of the squared errors of the networks."""
        losses: torch.Tensor = network.losses(batch, targets)
        return losses


def _axes(values: Array, number: int) -> Float[np.ndarray, "d k"]:
    """Return principal axes of features, a column each."""
    centred = values - values.mean(axis=0, dtype=np.float64)
    return np.asarray(principal_axes(centred, min(number, *centred.shape)).T, dtype=np.float32)


ENTRIES = (IStar,)
