"""The networks of STAGE (Li et al. 2024): from expression to two dimensions, and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import MLP

from histosge.models.deep.inputs import Batch

__all__ = ["STAGENetwork", "sliced_wasserstein"]

# the tables of the published code, whose longest Visium side has index 77
_ROWS = 77.0
_HIDDEN = (1000, 500, 50, 10)


class STAGENetwork(nn.Module):
    """An auto-encoder whose two-dimensional latent space is trained to be the position; or its decoder alone."""

    def __init__(
        self, genes: int, inputs: int, *, encodes_features: bool, decodes_features: bool, encoder: bool = True
    ) -> None:
        super().__init__()
        self.encodes_features, self.decodes_features = encodes_features, decodes_features
        # differs from STAGE: STAGE_Plus encodes image features in place of expression
        encoded = inputs if encodes_features else genes
        self.trains_encoder = encoder
        self.encoder: nn.Module = _perceptron(encoded, (*_HIDDEN, 2)) if encoder else nn.Identity()
        self.decoder = _perceptron(2, (*_HIDDEN[::-1], genes))

    def encoded(self, batch: Batch) -> Tensor:
        """Return the positions predicted from features."""
        latent: Tensor = torch.relu(self.encoder(batch.vectors))
        return latent

    def coordinates(self, batch: Batch) -> Tensor:
        """Return positions as STAGE scales them: lattice column and row divided by 77."""
        return batch.lattice_xy / _ROWS

    def forward(self, batch: Batch) -> Tensor:
        """Return genes at the true positions, or (STAGE_Plus) at positions predicted from features."""
        latent = self.encoded(batch) if self.decodes_features else self.coordinates(batch)
        output: Tensor = torch.relu(self.decoder(latent))
        return output

    def loss(self, batch: Batch, expression: Tensor) -> Tensor:
        """Return the loss: 0.1 · (L1 + 0.1 · SWD) of the latent space + 0.01 · (MSE + 0.1 · L1) of expression."""
        position = self.coordinates(batch)
        if not self.trains_encoder:
            return _reconstruction(torch.relu(self.decoder(position)) - expression)
        latent = torch.relu(self.encoder(batch.vectors if self.encodes_features else expression))
        decoded = torch.relu(self.decoder(latent))
        # the decoder reads the latent space, so that reconstruction and position are trained together
        latent_loss = (latent - position).abs().mean() + 0.1 * sliced_wasserstein(latent, position)
        return 0.1 * latent_loss + 0.01 * _reconstruction(decoded - expression)


def _reconstruction(error: Tensor) -> Tensor:
    return (error**2).mean() + 0.1 * error.abs().mean()


def sliced_wasserstein(left: Tensor, right: Tensor, directions: int = 1000) -> Tensor:
    """Return the mean squared distance of sorted projections onto fresh random directions."""
    axes = torch.randn(left.shape[1], directions, device=left.device)
    # unit vectors: projections onto them are lengths
    axes = axes / axes.norm(dim=0, keepdim=True)
    # in one dimension the optimal transport pairs sorted values (Bonneel et al. 2015)
    difference = (left @ axes).sort(dim=0).values - (right @ axes).sort(dim=0).values
    mean: Tensor = (difference**2).mean()
    return mean


def _perceptron(inputs: int, widths: tuple[int, ...]) -> MLP:
    return MLP(inputs, list(widths), norm_layer=nn.BatchNorm1d)
