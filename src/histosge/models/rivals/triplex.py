"""TRIPLEX (Chung et al. 2024): the spot, its surroundings and the whole section, fused by attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import DataError, UsageError, refuse_nonpositive
from histosge.models.base import ModelCard, Needs, Runtime, Windows
from histosge.models.deep.batches import Batching
from histosge.models.deep.inputs import Batch, InputScaling
from histosge.models.deep.predictor import DeepPredictor
from histosge.models.deep.section_spots import SectionSpots, whole_positions
from histosge.models.deep.system import FeatureSystem, refuse_without_lattice
from histosge.models.deep.windows import window_features
from histosge.section.inputs import Inputs, Samples

if TYPE_CHECKING:
    import torch

    from histosge.models.deep.networks.triplex import Beside, SectionTokens

__all__ = ["TRIPLEX", "TRIPLEXPredictor"]

# columns of the lattice between those of two sections
_FAR = 1e6
# locations at once: 16 heads × 256 × 4096 spots are 67 MB
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class TRIPLEX(FeatureSystem):
    """Configuration; further options are those of :class:`~histosge.models.deep.training.TrainingConfig`.

    In training all fitted spots of a section attend to each other, as the original's spots of a slide do. A location
    that is predicted attends to them and to itself, and has its neighbours on the lattice among them, so that its
    prediction does not depend on which other locations are asked for: at a fitted spot both are the same. Differs from
    the original, which predicts all spots of a slide together. In a section of which no spot is fitted, locations
    attend to the spots that the predictor is adapted to.

    The original trains a ResNet-18 of the spot's patch; here the encoder is frozen, and the tokens of the spot are its
    features of 4 × 4 parts of the patch.
    ``published`` has the original's width and depths, outputs that are cut at 0 in training too, the smoothed
    expression that its legacy ST sections are trained on, and early stopping by the correlation at validation spots
    (its own are those that it is scored at; here they are some of those fitted).

    Parameters
    ----------
    target_side, neighbour_side
        The spot's window is divided into side × side, and surrounded by side × side windows of its width.
    width
        Of all tokens.
    depths, heads, ratios, dropouts
        Of the transformers of fusion, section and surroundings: blocks, heads, width of the hidden layer relative to
        that of tokens, share of the units dropped.
    share
        Weight of the distance from the fusion, in place of that from the expression, in the loss of a branch.
    cut
        Whether training cuts outputs at 0 too. A gene whose outputs are all cut is not trained any more.
    smooth
        Whether training is on expression averaged over the 3 × 3 neighbours on the lattice, of the spots fitted.
    window_size
        Most spots that attend to each other; those of larger sections are divided into windows of neighbours, and a
        location attends to that of the nearest spot. 4096 spots take 1 GB in training.

    Examples
    --------
    >>> [windows.number for windows in TRIPLEX().needs.windows], TRIPLEX().joint
    ([16, 25], False)
    """

    crop_um: float | None = 112.0
    crop_px: int | None = None
    target_side: int = 4
    neighbour_side: int = 5
    width: int = 256
    depths: tuple[int, ...] = (1, 2, 1)
    heads: tuple[int, ...] = (4, 16, 16)
    ratios: tuple[float, ...] = (4.0, 4.0, 1.0)
    dropouts: tuple[float, ...] = (0.2, 0.1, 0.3)
    share: float = 0.3
    cut: bool = False
    smooth: bool = False
    window_size: int = 4096
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    epochs: int = 200
    validation: float = 0.1
    patience: int | None = 20

    card: ClassVar[ModelCard] = ModelCard(
        "triplex",
        "The spot, its surroundings and the whole section, fused by attention (TRIPLEX).",
        "chung2024triplex",
        uses_position=True,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {
            "width": 512,
            "depths": (1, 3, 3),
            "cut": True,
            "smooth": True,
            "criterion": "correlation",
            "standardise": "auto",
        },
    }

    def validate(self) -> None:
        """Refuse sizes below 1, surroundings without a middle, and heads that do not divide the width."""
        refuse_nonpositive(self, "target_side", "neighbour_side", "width")
        if self.neighbour_side % 2 == 0:
            raise UsageError(
                f"`neighbour_side` must be odd, as the spot is in the middle; got {self.neighbour_side}."
            )
        for name in ("depths", "heads", "ratios", "dropouts"):
            values = getattr(self, name)
            low = 0 if name == "dropouts" else 1e-6
            if len(values) != 3 or min(values) < low or (name == "dropouts" and max(values) >= 1):
                raise UsageError(
                    f"`{name}` must be three numbers, of fusion, section and surroundings, such as "
                    f"{getattr(type(self)(), name)}; got {values}."
                )
        if unfit := [heads for heads in self.heads if self.width % heads]:
            raise UsageError(
                f"`width` must be a multiple of `heads`; {unfit[0]} does not divide {self.width}."
            )
        if not 0 <= self.share <= 1:
            raise UsageError(f"`share` must be from 0 to 1, got {self.share}. TRIPLEX has 0.3.")

    @property
    def needs(self) -> Needs:
        """Image features of the parts of the spot's window and of the windows around it."""
        parts = Windows.grid(self.target_side, share=1 / self.target_side)
        return Needs(features=True, crop=self.crop, windows=(parts, Windows.grid(self.neighbour_side)))

    @property
    def batching(self) -> Batching:
        """All locations of a section."""
        return Batching(self.batch, window=self.window_size, order="spatial", by_section=True)

    @property
    def joint(self) -> bool:
        """Locations that are predicted attend to known spots, and not to each other."""
        return False

    @property
    def clips_predictions(self) -> bool:
        """Negative predictions become 0, as published."""
        return True

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> TRIPLEXPredictor:
        """Train the network, and keep the spots that locations attend to.

        Raises
        ------
        UsageError
            For spots without lattice positions, over which the convolution runs; locations predicted need none.
        """
        refuse_without_lattice(samples, "triplex", "Choose another model, such as 'bleep'.")
        fitted = replace(samples, expression=_smoothed(samples)) if self.smooth else samples
        trained = FeatureSystem.fit(self, fitted, seed=seed, runtime=runtime)
        return TRIPLEXPredictor.of(trained, self.section_spots(trained.scaling, samples.inputs))

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> TRIPLEXPredictor:
        """Rebuild the predictor, on the CPU.

        Raises
        ------
        DataError
            For a fit of a version whose locations attended to each other, which held no spots.
        """
        if not SectionSpots.are_in(arrays):
            raise DataError(
                "This fit of 'triplex' is one of an earlier version, without its spots. Fit again."
            )
        trained = FeatureSystem.restore(self, genes, arrays, summary)
        return TRIPLEXPredictor.of(trained, SectionSpots.from_arrays(arrays))

    def section_spots(self, scaling: InputScaling, inputs: Inputs) -> SectionSpots:
        """Return spots as those that locations of their section attend to, with the features of their own window."""
        read = self.network_inputs(scaling, inputs)
        width = window_features(self.needs, read.columns)
        # the middle of the surroundings
        start = (self.target_side**2 + self.neighbour_side**2 // 2) * width
        return SectionSpots.of(
            inputs, np.array(np.asarray(read.features)[:, start : start + width]), self.batching
        )

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.triplex import TRIPLEXNetwork, TRIPLEXShape

        return TRIPLEXNetwork(
            TRIPLEXShape(
                inputs=window_features(self.needs, inputs),
                genes=outputs,
                width=self.width,
                depths=_three(self.depths),
                heads=_three(self.heads),
                ratios=_three(self.ratios),
                dropouts=_three(self.dropouts),
                target_side=self.target_side,
                neighbour_side=self.neighbour_side,
            )
        )

    def loss(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of the fusion and of its three branches."""
        from histosge.models.deep.networks.triplex import Branches, fused_loss

        branches = network(batch)
        if self.cut:
            branches = Branches(*(branch.clamp_min(0) for branch in branches))
        return fused_loss(branches, targets, self.share)

    def outputs(self, network: Any, batch: Batch, beside: Beside | None = None) -> torch.Tensor:
        """Return the genes of the fusion, of locations that attend to spots, or without these to each other."""
        fusion: torch.Tensor = network(batch, beside).fusion
        return fusion.clamp_min(0) if self.cut else fusion


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TRIPLEXPredictor(DeepPredictor):
    """A trained network with the spots that locations attend to; see :class:`histosge.models.base.Predictor`.

    Parameters
    ----------
    spots
        Of the sections fitted, and of those that the predictor was adapted to.
    """

    spots: SectionSpots

    @classmethod
    def of(cls, trained: DeepPredictor, spots: SectionSpots) -> TRIPLEXPredictor:
        """Return a trained network with the spots that locations attend to."""
        return cls(**{item.name: getattr(trained, item.name) for item in fields(trained)}, spots=spots)

    def adapted_to(self, inputs: Inputs) -> TRIPLEXPredictor:
        """Return the predictor with the spots of a section of which none was fitted: its image is all that is read.

        Parameters
        ----------
        inputs
            All spots of that section, or locations at their distance, with its index.
        """
        if not len(inputs):
            return self
        model = cast(TRIPLEX, self.model)
        return replace(self, spots=self.spots.joined(model.section_spots(self.scaling, inputs)))

    def outputs(self, inputs: Inputs) -> Iterator[tuple[Array, Array]]:
        """Yield ascending rows and the network's outputs there, on the CPU in 32 bits.

        Raises
        ------
        UsageError
            In a section of which no spot is known.
        """
        import torch

        if not np.isin(inputs.section_index, self.spots.sections).all():
            raise UsageError(
                "Locations of 'triplex' attend to the spots of their section, and none of this one are known. Adapt "
                "the predictor: `predictor.adapted_to(spots)`."
            )
        for rows, spots in self.spots.attended_from(inputs):
            with torch.no_grad():
                tokens = self.network.section_tokens(
                    torch.as_tensor(spots.features, device=self.device),
                    torch.as_tensor(spots.lattice_xy, device=self.device),
                )
            for start in range(0, len(rows), _AT_ONCE):
                part = rows[start : start + _AT_ONCE]
                yield part, self._outputs(inputs.take(part), spots, tokens)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the network, and the spots."""
        return DeepPredictor.arrays(self) | self.spots.arrays()

    def _outputs(self, inputs: Inputs, spots: SectionSpots, tokens: SectionTokens) -> Array:
        """Return the network's outputs at some locations of one section."""
        import torch

        from histosge.models.deep.networks.triplex import Beside, lattice_neighbours

        model = cast(TRIPLEX, self.model)
        whole = whole_positions(spots.lattice_of(inputs), spots.lattice_xy)
        neighbours = lattice_neighbours(whole, spots.lattice_xy)
        same = spots.at(inputs.locations.xy)
        beside = Beside(tokens, *(torch.as_tensor(rows, device=self.device) for rows in (neighbours, same)))
        read = model.network_inputs(self.scaling, inputs)
        batch = read.batch(np.arange(len(inputs)), self.device)
        with torch.no_grad():
            return np.asarray(model.outputs(self.network, batch, beside).float().cpu().numpy())


def _three(values: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    first, second, third = values
    return first, second, third


def _smoothed(samples: Samples) -> Float[np.ndarray, "n g"]:
    """Return the mean of each fitted spot and its fitted neighbours on the lattice, section by section."""
    from histosge.models.deep.networks.triplex import lattice_neighbours

    # lattices of sections side by side: neighbours are of one section
    beside = _FAR * samples.inputs.section_index[:, None]
    neighbours = lattice_neighbours(samples.inputs.locations.lattice_xy + beside)
    measured = samples.dense_expression
    padded = np.vstack([measured, np.zeros((1, measured.shape[1]))])
    sums = sum(padded[step] for step in neighbours.T)
    return np.asarray(sums / (neighbours < len(measured)).sum(axis=1, keepdims=True), dtype=measured.dtype)


ENTRIES = (TRIPLEX,)
