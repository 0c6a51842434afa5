"""The training of a network over gene maps: each gene is a sample, and parts of its own map are hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array

from .training import Validation

if TYPE_CHECKING:
    import torch

__all__ = ["HalvedMaps", "ThinnedMaps", "doubled", "even_sized", "in_quarters"]


@dataclass(frozen=True, slots=True, eq=False)
class GeneMaps:
    """Batches of genes; see :class:`histosge.models.deep.training.TrainingInParts`.

    Parameters
    ----------
    network
        To be trained.
    maps
        Genes × h × w.
    measured
        1 at spots, h × w.
    size
        Genes per step.
    at_once
        Genes of a step whose intermediate values are in memory together; ``None``: all of them.
    """

    network: Any
    maps: torch.Tensor
    measured: torch.Tensor
    size: int
    at_once: int | None = None

    def batches(self, rng: np.random.Generator) -> Iterator[Array]:
        """Yield shuffled genes."""
        order = rng.permutation(len(self.maps))
        for start in range(0, len(order), self.size):
            yield order[start : start + self.size]

    def validation(self) -> Validation | None:
        """No spot is kept for validation."""
        return None

    def loss(self, genes: Array) -> torch.Tensor:
        """Return the loss of all genes of a step together."""
        return next(self._terms(genes, len(genes)))

    def losses(self, genes: Array) -> Iterator[torch.Tensor]:
        """Yield the loss of some genes of a step at a time: terms of a sum."""
        yield from self._terms(genes, self.at_once or len(genes))

    def _terms(self, genes: Array, at_once: int) -> Iterator[torch.Tensor]:
        """Yield the loss of ``at_once`` genes at a time, as a share of that of all genes."""
        raise NotImplementedError

    def _maps(self, genes: Array) -> torch.Tensor:
        import torch

        return self.maps[torch.as_tensor(genes, device=self.maps.device)]


class ThinnedMaps(GeneMaps):
    """Every second row and column is shown; all spots are to be predicted."""

    __slots__ = ()

    def pairs(self, genes: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the maps shown, the maps to be predicted and the map of spots."""
        whole, measured = even_sized(self._maps(genes)), even_sized(self.measured)
        return whole[:, None, ::2, ::2], whole[:, None], measured

    def _terms(self, genes: Array, at_once: int) -> Iterator[torch.Tensor]:
        """Yield mean squared errors over the positions of the array, those without a spot counted as 0."""
        shown, whole, measured = self.pairs(genes)
        for low in range(0, len(genes), at_once):
            rows = slice(low, low + at_once)
            error = (doubled(self.network(shown[rows])) - whole[rows]) * measured
            yield (error**2).sum() / whole.numel()


class HalvedMaps(GeneMaps):
    """A random half of the spots is shown, of each gene another; all are to be predicted."""

    __slots__ = ()

    def _terms(self, genes: Array, at_once: int) -> Iterator[torch.Tensor]:
        """Yield mean squared errors over the spots."""
        import torch
        from torch.nn.functional import pad

        whole = self._maps(genes)
        shown = (torch.rand(whole.shape, device=whole.device) < 0.5) * self.measured
        # patches begin anywhere, so that every position of a patch meets spots, on a sublattice too
        across, down = torch.randint(self.network.patch, (2,)).tolist()
        seen = pad(torch.stack([whole * shown, shown], dim=1), (across, 0, down, 0))
        for low in range(0, len(genes), at_once):
            rows = slice(low, low + at_once)
            predicted = self.network(seen[rows])[:, 0, down:, across:]
            error = (predicted - whole[rows]) * self.measured
            yield (error**2).sum() / (self.measured.sum() * len(whole))


def even_sized(maps: torch.Tensor) -> torch.Tensor:
    """Return maps with an even number of rows and columns: zeros to the right and below."""
    from torch.nn.functional import pad

    rows, columns = maps.shape[-2:]
    return pad(maps, (0, columns % 2, 0, rows % 2))


def doubled(phases: torch.Tensor) -> torch.Tensor:
    """Return b × 1 × 2h × 2w of b × 4 × h × w: the four values of a position side by side."""
    from torch.nn.functional import pixel_shuffle

    return pixel_shuffle(phases, 2)


def in_quarters(network: Any, maps: torch.Tensor) -> torch.Tensor:
    """Return the network's output of b × 1 × h × w, of four quarters by themselves, as wide as its training maps."""
    import torch

    rows, columns = maps.shape[-2:]
    halves = [
        torch.cat([network(part) for part in half.chunk(2, -1)], -1) for half in even_sized(maps).chunk(2, -2)
    ]
    return torch.cat(halves, -2)[..., :rows, :columns]
