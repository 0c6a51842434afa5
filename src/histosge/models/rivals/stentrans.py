"""stEnTrans (Xue et al. 2024): a transformer learns from thinned gene maps how to refine a lattice; no image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from histosge._runtime.device import device_name, seed_everything
from histosge._runtime.types import Array, Float
from histosge.errors import DataError, UsageError, refuse_nonpositive
from histosge.geometry.lattice import Lattice
from histosge.models.base import Block, Model, ModelCard, Needs, Predictor, Runtime, Task
from histosge.models.blocks import pieces
from histosge.models.deep.gene_maps import HalvedMaps, ThinnedMaps, doubled, in_quarters
from histosge.models.deep.lattice_array import LatticeArray, between
from histosge.models.deep.system import refuse_few_spots
from histosge.models.deep.training import TrainingConfig, TrainingHistory, train
from histosge.models.scaling import Targets
from histosge.section.inputs import Inputs, Samples

from .raw_counts import fit_to_counts, restored_of_counts

__all__ = ["StEnTrans", "StEnTransPredictor"]

# side of a patch and heads: on legacy ST, whose lattice is square, and on Visium
_SQUARE, _HEXAGONAL = (3, 4), (8, 8)
_FRAME, _MAPS, _MEASURED = "array.numbers", "array.maps", "array.measured"
# origin and steps of the lattice in µm
_LATTICE = "array.lattice_um"


@dataclass(frozen=True, slots=True)
class StEnTrans(TrainingConfig, Model):
    """Configuration; further options are those of :class:`~histosge.models.deep.training.TrainingConfig`.

    Each gene is a training sample. The doubling of the lattice is learnt from every second row and column of the
    fitted spots, and then applied to all of them. That suits a sublattice; where fitted spots have gaps, the network
    learns instead to fill these: it is shown where spots are measured, and trained on random halves of them. Genes are
    centred for that, so that the zeros of a gap are the mean. A prediction between positions of the resulting map is
    linear between them; measured spots get predictions like all others. Bins and cells, which are finer than any map,
    have their position on the lattice: with ``doubled``, between positions half a pitch apart.

    Parameters
    ----------
    form
        ``"doubled"``: the published network. ``"filled"``: with gaps. ``"auto"``: doubled where the fitted spots lie on
        every second row and column of the lattice, else filled.
    patch, heads
        Side of a patch, and heads of attention, which divide 4 · patch². ``None``: 3 and 4 on a square lattice, 8 and 8
        on a hexagonal one, as published.
    depth
        Number of blocks.
    quarters
        Whether the doubled lattice is predicted in four quarters, each as wide as the maps of the training. Otherwise
        at once, as published: a width that the network was never shown, at which it is less accurate.
    scale
        What maps show: log1p(CP10k), as for every model, or raw counts, as published; their total is one more map.
    epochs, batch
        The authors' examples take 512 genes a step, for 50 epochs on legacy ST and 10 on Visium; their code's default
        is 500. They have ten times as many genes, so that 64 a step are about as many steps.
    extra_patch
        Whether a map gets a whole patch of zeros more on the right, or below, where patches divide its side, as in the
        code; otherwise none there.
    residual
        Whether outputs are added to the value that the map shown has at a position. The code computes a sum of input
        and output and then overwrites it, so that it has none.
    doubled_exponent
        Whether the exponent of the position code is twice what is meant, as in the code.

    Raises
    ------
    UsageError
        For a value that cannot be trained with.

    Examples
    --------
    >>> StEnTrans().uses_image, bool(StEnTrans().reason_against("sublattice"))
    (False, False)
    """

    epochs: int = 50
    batch: int = 64
    optimiser: Literal["adamw", "adam", "sgd"] = "adam"
    form: Literal["auto", "doubled", "filled"] = "auto"
    patch: int | None = None
    heads: int | None = None
    depth: int = 12
    quarters: bool = True
    scale: Literal["cp10k", "counts"] = "cp10k"
    extra_patch: bool = field(default=True, metadata={"added_later": True})
    residual: bool = field(default=False, metadata={"added_later": True})
    doubled_exponent: bool = field(default=False, metadata={"added_later": True})

    card: ClassVar[ModelCard] = ModelCard(
        "stentrans",
        "A transformer over gene maps that learns to refine the lattice (stEnTrans).",
        "xue2024stentrans",
        uses_position=True,
        deep=True,
        bytes_per_value=48.0,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {
            "form": "doubled",
            "batch": 512,
            "epochs": 500,
            "scale": "counts",
            "quarters": False,
        },
        "doubled": {"form": "doubled"},
    }
    # Adam's own, as the code has them
    adam: ClassVar[Mapping[str, Any]] = {"betas": (0.5, 0.6), "eps": 1e-6}

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        refuse_nonpositive(self, "depth")
        if (self.patch is None) != (self.heads is None):
            raise UsageError("Set both `patch` and `heads`, or neither.")
        if self.patch is not None and self.heads is not None:
            refuse_nonpositive(self, "patch", "heads")
            if 4 * self.patch**2 % self.heads:
                raise UsageError(
                    f"`heads` must divide 4 · `patch`², which is {4 * self.patch**2}; got {self.heads}. Try 4."
                )
        if self.validation or self.criterion != "loss":
            raise UsageError(
                "'stentrans' trains on genes and has no validation spots. Leave `validation` 0 and `criterion` 'loss'."
            )

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    def reason_against(self, task: Task) -> str:
        """Leave out sections without fitted spots, and of the published form test spots among them."""
        if task == "new_section":
            return "'stentrans' interpolates between fitted spots, of which a new section has none."
        if task == "test_spots" and self.form == "doubled":
            return "'stentrans' with `form` doubled takes gaps between fitted spots for zeros. Set `form` to auto."
        return ""

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> Predictor:
        """Train the network on the maps of the genes.

        Raises
        ------
        UsageError
            For fewer than 4 spots, spots of several sections, or spots without whole lattice positions.
        DataError
            When the loss is not finite.
        """
        import torch

        refuse_few_spots(samples)
        if self.scale != "cp10k":
            plain = replace(self, scale="cp10k")
            return fit_to_counts(plain, samples, self.scale, seed=seed, runtime=runtime)
        lattice_um = _lattice_of(samples.inputs)
        lattice_xy = _lattice_xy(samples.inputs, None)
        array = self._array(lattice_xy)
        fills = self._fills(array)
        targets = Targets.of(samples.dense_expression, "centred" if fills else "raw")
        maps, measured = array.maps(lattice_xy, targets.encode(samples.dense_expression))
        seed_everything(seed)
        network = self._network(array).to(runtime.device)
        on_device = torch.as_tensor(maps, device=runtime.device)
        spots = torch.as_tensor(measured, device=runtime.device)
        kind = HalvedMaps if fills else ThinnedMaps
        # patches of maps with gaps begin anywhere, up to a patch further right and down
        sides = [side + network.patch if fills else (side + 1) // 2 for side in array.shape]
        task = kind(network, on_device, spots, self.batch, network.maps_at_once(*sides))
        history = train(task, self, seed=seed, runtime=runtime)
        return StEnTransPredictor(
            samples.genes,
            network=network,
            array=array,
            lattice_um=lattice_um,
            targets=targets,
            maps=maps,
            measured=measured,
            fit_summary=_summary(history, network, seed, runtime.device)
            | {"filled": fills, "quarters": self.quarters},
            device=runtime.device,
        )

    def restore(self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]) -> Predictor:
        """Rebuild the predictor, on the CPU."""
        if self.scale != "cp10k":
            return restored_of_counts(replace(self, scale="cp10k"), genes, arrays, summary, self.scale)
        import torch

        array = LatticeArray.from_numbers(arrays[_FRAME])
        network = self._network(array)
        weights = {
            name.removeprefix("network."): torch.from_numpy(np.array(value))
            for name, value in arrays.items()
            if name.startswith("network.")
        }
        network.load_state_dict(weights)
        return StEnTransPredictor(
            np.asarray(genes, dtype=str),
            network=network.eval(),
            array=array,
            lattice_um=np.array(arrays[_LATTICE]) if _LATTICE in arrays else None,
            targets=Targets(arrays["targets.mean"], arrays["targets.scale"]),
            maps=np.array(arrays[_MAPS]),
            measured=np.array(arrays[_MEASURED]),
            fit_summary=summary,
        )

    def _array(self, lattice_xy: Array) -> LatticeArray:
        """Return the array of the fitted spots, of a sublattice without the rows and columns between."""
        if self.form == "filled":
            return LatticeArray.of(lattice_xy, coarse=False)
        coarse = LatticeArray.of(lattice_xy, coarse=True)
        keeps = self.form == "doubled" or coarse.is_coarse
        return coarse if keeps else LatticeArray.of(lattice_xy, coarse=False)

    def _fills(self, array: LatticeArray) -> bool:
        return self.form == "filled" or (self.form == "auto" and not array.is_coarse)

    def _network(self, array: LatticeArray) -> Any:
        from histosge.models.deep.networks.stentrans import StEnTransNetwork

        patch, heads = _HEXAGONAL if array.hexagonal else _SQUARE
        channels, phases = (2, 1) if self._fills(array) else (1, 4)
        return StEnTransNetwork(
            self.patch or patch,
            self.heads or heads,
            channels=channels,
            phases=phases,
            depth=self.depth,
            extra_patch=self.extra_patch,
            residual=self.residual,
            doubled_exponent=self.doubled_exponent,
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Trained:
    network: Any
    array: LatticeArray
    # origin and steps of the lattice, a row each
    lattice_um: Float[np.ndarray, "3 2"] | None
    targets: Targets
    maps: Array
    measured: Array
    fit_summary: Mapping[str, Any]
    device: str = "cpu"


@dataclass(frozen=True, slots=True, eq=False)
class StEnTransPredictor(_Trained):
    """The trained network and the maps that it was trained on; see :class:`histosge.models.base.Predictor`."""

    genes: Array

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict the maps of all genes, and then some thousand locations at a time."""
        maps = self.predicted_maps()
        positions = self.array.positions(_lattice_xy(inputs, self.lattice_um)) * self.resolution
        for rows in pieces(len(inputs), len(self.genes)):
            mean = self.targets.decode(between(maps, positions[rows]))
            yield rows, np.maximum(mean, 0), None

    @property
    def resolution(self) -> int:
        """Positions of the predicted maps for each of the fitted ones, along a row."""
        return 1 if self.fit_summary["filled"] else 2

    def predicted_maps(self) -> Array:
        """Return the map of each gene, genes × h × w: on the array of the fitted spots, or on the doubled one."""
        import torch

        parts = []
        at_once = self.network.maps_at_once(*self.array.shape)
        for start in range(0, len(self.maps), at_once):
            maps = torch.as_tensor(self.maps[start : start + at_once], device=self.device)[:, None]
            measured = torch.as_tensor(self.measured, device=self.device)
            with torch.no_grad():
                if self.resolution == 1:
                    output = self.network(torch.cat([maps, measured.expand_as(maps)], dim=1))
                elif self.fit_summary.get("quarters"):
                    output = doubled(in_quarters(self.network, maps))
                else:
                    output = doubled(self.network(maps))
            parts.append(output[:, 0].float().cpu().numpy())
        return np.concatenate(parts)

    def arrays(self) -> dict[str, Array]:
        """Return weights, maps and the lattice."""
        weights = {
            f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()
        }
        maps = {_FRAME: self.array.numbers, _MAPS: self.maps, _MEASURED: self.measured}
        if self.lattice_um is not None:
            maps[_LATTICE] = self.lattice_um
        return weights | maps | self.targets.arrays()

    def summary(self) -> dict[str, Any]:
        """Return loss curve, epochs and the number of parameters."""
        return dict(self.fit_summary)


def _lattice_xy(inputs: Inputs, lattice_um: Float[np.ndarray, "3 2"] | None) -> Array:
    """Return lattice positions, of bins and cells by the lattice in µm; refuse other sections, and those of none."""
    if (inputs.section_index != 0).any():
        raise UsageError("'stentrans' interpolates within one section, got several. Fit each by itself.")
    lattice_xy = np.array(inputs.locations.lattice_xy, dtype=np.float64)
    unknown = ~np.isfinite(lattice_xy).all(axis=1)
    if unknown.any():
        if lattice_um is None:
            raise UsageError(
                "'stentrans' reads lattice positions, which these locations do not have. Choose `model` kriging."
            )
        from_origin_um = inputs.locations.xy[unknown] - lattice_um[0]
        lattice_xy[unknown] = from_origin_um @ np.linalg.inv(lattice_um[1:])
    return lattice_xy


def _lattice_of(inputs: Inputs) -> Float[np.ndarray, "3 2"] | None:
    """Return origin and steps of the lattice of spots, µm; nothing where they are too few to tell, or on none."""
    try:
        lattice = Lattice.fit(inputs.locations.xy, inputs.locations.lattice_xy)
    except DataError:
        return None
    return np.vstack([lattice.origin_um, lattice.step_um])


def _summary(history: TrainingHistory, network: Any, seed: int, device: str) -> dict[str, Any]:
    return {
        "epochs": len(history.training),
        "best_epoch": history.best_epoch,
        "loss_training": list(history.training),
        "loss_validation": [],
        "parameters": sum(value.numel() for value in network.parameters()),
        "seed": seed,
        "device": device_name(device),
    }


ENTRIES = (StEnTrans,)
