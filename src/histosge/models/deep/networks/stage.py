"""The networks of STAGE (Li et al. 2024): from expression to a map of two dimensions, and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import MLP

from histosge.models.deep.batches import Tensors

__all__ = ["STAGENetwork", "sliced_wasserstein"]

# the tables of the published code, whose longest Visium side has index 77
_ROWS = 77.0
_HIDDEN = (1000, 500, 50, 10)


class STAGENetwork(nn.Module):
    """An auto-encoder whose two-dimensional middle is taught to be the position."""

    def __init__(self, genes: int, inputs: int, *, from_features: bool, tested_on_features: bool) -> None:
        super().__init__()
        self.from_features, self.tested_on_features = from_features, tested_on_features
        encoded = inputs if from_features else genes
        self.encoder = _perceptron(encoded, (*_HIDDEN, 2))
        self.decoder = _perceptron(2, (*_HIDDEN[::-1], genes))

    def found(self, seen: Tensors) -> Tensor:
        """Return the positions that features speak of."""
        middle: Tensor = torch.relu(self.encoder(seen.vectors))
        return middle

    def coordinates(self, seen: Tensors) -> Tensor:
        """Return positions as STAGE scales them: array column and row by 77."""
        return seen.place / _ROWS

    def forward(self, seen: Tensors) -> Tensor:
        """Return genes at positions, or (STAGE_Plus) at what features say the position is."""
        middle = self.found(seen) if self.tested_on_features else self.coordinates(seen)
        answer: Tensor = torch.relu(self.decoder(middle))
        return answer

    def train_on(self, seen: Tensors, wanted: Tensor) -> Tensor:
        """Return the loss: 0.1 · (L1 + 0.1 · SWD) of the middle + 0.01 · (MSE + 0.1 · L1) of expression."""
        told = seen.vectors if self.from_features else wanted
        middle = torch.relu(self.encoder(told))
        where = self.coordinates(seen)
        again = torch.relu(self.decoder(middle))
        latent = (middle - where).abs().mean() + 0.1 * sliced_wasserstein(middle, where)
        rebuilt = ((again - wanted) ** 2).mean() + 0.1 * (again - wanted).abs().mean()
        return 0.1 * latent + 0.01 * rebuilt


def sliced_wasserstein(left: Tensor, right: Tensor, directions: int = 1000) -> Tensor:
    """Return the mean squared distance of sorted projections onto fresh random directions."""
    turn = torch.randn(left.shape[1], directions, device=left.device)
    turn = turn / turn.norm(dim=0, keepdim=True)
    apart = (left @ turn).sort(dim=0).values - (right @ turn).sort(dim=0).values
    mean: Tensor = (apart**2).mean()
    return mean


def _perceptron(inputs: int, widths: tuple[int, ...]) -> MLP:
    return MLP(inputs, list(widths), norm_layer=nn.BatchNorm1d)
