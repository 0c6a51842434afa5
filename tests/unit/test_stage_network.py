"""The network of STAGE: its loss and the sliced Wasserstein distance."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from histosge.models import build_model
from histosge.models.deep.inputs import Batch
from histosge.models.deep.networks.stage import sliced_wasserstein


def network(name: str, genes: int, inputs: int = 0, **options: Any) -> Any:
    return build_model(name, None, **options).build_network(inputs, genes)  # type: ignore[attr-defined]


def test_the_loss_of_stage_is_the_published_sum() -> None:
    """With a perfect encoder the latent loss is 0; the total is 0.1 · latent + 0.01 · reconstruction."""
    torch.manual_seed(0)
    stage = network("stage", 6)
    lattice_xy = torch.randint(1, 77, (32, 2)).float()
    expression = torch.rand(32, 6)
    for shift in (0.0, 1.0):
        latent = lattice_xy / 77 + shift

        class Encoder(torch.nn.Module):
            def forward(self, _: Any, latent: Any = latent) -> Any:
                return latent

        stage.encoder = Encoder()
        torch.manual_seed(1)
        total = float(stage.loss(Batch(lattice_xy, lattice_xy), expression))
        torch.manual_seed(1)
        latent_loss = shift + 0.1 * float(sliced_wasserstein(latent, lattice_xy / 77))
        error = torch.relu(stage.decoder(latent)) - expression
        reconstruction = float((error**2).mean() + 0.1 * error.abs().mean())
        assert total == pytest.approx(0.1 * latent_loss + 0.01 * reconstruction, abs=1e-6)
        assert (latent_loss == pytest.approx(0.0, abs=1e-6)) == (shift == 0)


def test_sliced_wasserstein_compares_distributions() -> None:
    """The same points in another order are no further apart; a shift by (1, 0) is half a unit on average, squared."""
    torch.manual_seed(0)
    points = torch.randn(50, 2)
    assert float(sliced_wasserstein(points, points.flip(0))) == pytest.approx(0.0, abs=1e-10)
    # the mean of cos² over directions is 1/2
    assert float(sliced_wasserstein(points, points + torch.tensor([1.0, 0.0]))) == pytest.approx(
        0.5, abs=0.06
    )
