"""The network of iStar (Zhang et al. 2024): a perceptron on every superpixel; a spot is the mean of its own."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torchvision.ops import MLP

from histosge.models.deep.inputs import Batch

from .row_parts import in_row_parts

__all__ = ["IStarNetwork", "PositiveUnit", "perceptron"]

# spots whose superpixels are in memory at once: 64 × 37 superpixels × (4 × 256 + 1000) floats are 19 MB
_AT_ONCE = 64
_WIDTH, _LAYERS, _SLOPE, _FLOOR = 256, 4, 0.1, 0.01


class IStarNetwork(nn.Module):
    """Features of each superpixel and of its surroundings in, genes of each superpixel out, averaged over the spot.

    The columns of a location are: features of its superpixels one after another, those of the context, the mean colour
    and the diameter of the location in µm.

    Parameters
    ----------
    inputs
        Features of one window.
    outputs
        Genes, or their factors.
    offsets_radii
        Distance of each superpixel from the location, in radii of the fitted spots.
    components
        Principal components of the features of each scale; ``None``: the features themselves.
    replicas
        Perceptrons, whose median is taken.
    positive
        Whether outputs are positive, as published; factors are not.
    averages_features
        Whether features are averaged over the spot, in place of outputs.
    """

    basis: Tensor
    context_basis: Tensor
    diameter_um: Tensor
    offsets_radii: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        offsets_radii: tuple[float, ...],
        components: int | None,
        replicas: int,
        positive: bool,
        averages_features: bool,
    ) -> None:
        super().__init__()
        self.inputs, self.reduces, self.averages_features = inputs, components is not None, averages_features
        self.register_buffer("offsets_radii", torch.tensor(offsets_radii))
        # of the fitted spots, and the axes of their features; set before training
        self.register_buffer("diameter_um", torch.ones(()))
        kept = inputs if components is None else min(components, inputs)
        for name in ("basis", "context_basis"):
            self.register_buffer(name, torch.eye(inputs, kept))
        columns = 2 * kept + 3
        self.replicas = nn.ModuleList(
            perceptron(columns, outputs, positive=positive) for _ in range(replicas)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return the median over the replicas, averaged over the superpixels of each location, b × outputs."""
        return in_row_parts(self._median, batch.vectors, _AT_ONCE, training=False)

    def losses(self, batch: Batch, targets: Tensor) -> Tensor:
        """Return the sum of the squared errors of the replicas, each trained by itself."""
        errors: Tensor = torch.zeros((), device=targets.device)
        for index in range(len(self.replicas)):
            predicted = in_row_parts(
                partial(self._of_replica, index=index), batch.vectors, _AT_ONCE, training=True
            )
            errors = errors + nn.functional.mse_loss(predicted, targets)
        return errors

    def _median(self, vectors: Tensor) -> Tensor:
        cells, support = self._superpixels(vectors)
        outputs = torch.stack([replica(cells) for replica in self.replicas]).float().quantile(0.5, dim=0)
        return _averaged(outputs, support)

    def _of_replica(self, vectors: Tensor, index: int) -> Tensor:
        cells, support = self._superpixels(vectors)
        return _averaged(self.replicas[index](cells), support)

    def _superpixels(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return columns of superpixels, b × k × c, and which of them a location consists of, b × k."""
        number = len(self.offsets_radii)
        fine, context, colour, diameter = torch.split(
            vectors, [number * self.inputs, self.inputs, 3, 1], dim=1
        )
        fine, context = fine.reshape(-1, number, self.inputs), context[:, None]
        if self.reduces:
            fine, context = fine @ self.basis, context @ self.context_basis
        around = torch.cat([context, colour[:, None]], dim=2).expand(-1, number, -1)
        # smaller locations than the fitted spots have fewer superpixels, the one at their centre at least
        radius = (diameter / self.diameter_um).nan_to_num(0.0)
        support = (self.offsets_radii <= radius * 1.001) | (self.offsets_radii == 0)
        cells = torch.cat([fine, around], dim=2)
        if not self.averages_features:
            return cells, support
        return _averaged(cells, support)[:, None], support.new_ones(len(cells), 1)


class PositiveUnit(nn.Module):
    """ELU with α = 0.01, and 0.01 more: never below 0."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the same shape."""
        return nn.functional.elu(values, alpha=_FLOOR) + _FLOOR


def perceptron(inputs: int, outputs: int, *, positive: bool) -> nn.Sequential:
    """Return four layers of 256 and the output layer."""
    layers = MLP(inputs, [*[_WIDTH] * _LAYERS, outputs], activation_layer=partial(nn.LeakyReLU, _SLOPE))
    return nn.Sequential(layers, PositiveUnit()) if positive else nn.Sequential(layers)


def _averaged(values: Tensor, support: Tensor) -> Tensor:
    """Return the mean over the superpixels of each location, b × c."""
    weights = support.to(values.dtype)[:, :, None]
    return (values * weights).sum(dim=1) / weights.sum(dim=1)
