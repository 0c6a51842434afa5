"""The network of THItoGene: shapes and capsules."""

from __future__ import annotations

from typing import Any

import torch

from histosge.models import build_model
from histosge.models.deep.networks.thitogene import Capsules, squash


def network(name: str, genes: int, inputs: int = 0, **options: Any) -> Any:
    return build_model(name, None, **options).build_network(inputs, genes)  # type: ignore[attr-defined]


def test_thitogene_shapes() -> None:
    """112 pixels become 28, 24, 22, 20, 9 and then twenty capsules of 64."""
    parts = network("thitogene", 10)
    windows = torch.rand(3, 3, 112, 112)
    dynamic = parts.dynamic(windows)
    assert dynamic.shape == (3, 16, 28, 28)
    convolved = parts.convolutions(dynamic)
    assert convolved.shape == (3, 128, 9, 9)
    assert parts.capsules(convolved).shape == (3, 20, 64)


def test_capsules_share_their_votes() -> None:
    """Couplings of an input add up to 1 over outputs; squashed capsules keep their direction and are shorter than 1."""
    torch.manual_seed(0)
    capsules = Capsules()
    votes = torch.randn(5, 20, 16, 64)
    assert torch.allclose(capsules.couplings(votes).sum(dim=1), torch.ones(5, 16, 1), atol=1e-5)
    long = torch.randn(7, 8) * torch.logspace(-6, 0, 7)[:, None]
    short = squash(long)
    assert (short.norm(dim=-1) < 1).all()
    # 1 − exp(−30) is 1 in 32 bits
    assert squash(100 * long).norm(dim=-1).max() <= 1 + 1e-6
    assert torch.allclose(torch.nn.functional.cosine_similarity(long, short), torch.ones(7), atol=1e-4)
    assert torch.isfinite(squash(torch.zeros(1, 8))).all()
