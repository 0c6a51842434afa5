"""Graph attention: edges, and weights that add up to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from histosge.models.deep.networks.graph import GraphAttention, nearest_edges


def attention_weights(published_axis: bool) -> Any:
    """Attention weights n × n of one head: its values are the identity, so that its outputs are the weights."""
    torch.manual_seed(0)
    xy = torch.tensor(np.random.default_rng(0).uniform(0, 5, (9, 2)))
    edges = nearest_edges(xy, 3)
    graph = GraphAttention(
        9, heads=1, hidden=9, out=9, dropout=0.0, slope=0.2, published_axis=published_axis
    ).eval()
    with torch.no_grad():
        graph.multi_head.lin.weight.copy_(torch.eye(9))
        graph.multi_head.bias = None
        return graph.multi_head(torch.eye(9), edges), edges


def test_graph_attention_adds_up_over_neighbours() -> None:
    """The weights of a location over those it attends to add up to 1; it does not attend to itself."""
    weights, edges = attention_weights(published_axis=False)
    assert torch.allclose(weights.sum(dim=1), torch.ones(9), atol=1e-5)
    assert (weights.diagonal() == 0).all()
    attends = torch.zeros(9, 9).index_put((edges[1], edges[0]), torch.ones(27))
    assert ((weights > 0) == (attends > 0)).all()


def test_the_published_axis_adds_up_over_those_that_attend() -> None:
    """With the published fault weights add up over those that attend; an unattended location has uniform weights."""
    weights, edges = attention_weights(published_axis=True)
    assert torch.allclose(weights.sum(dim=0), torch.ones(9), atol=1e-5)
    assert not torch.allclose(weights.sum(dim=1), torch.ones(9), atol=1e-2)
    unattended = torch.bincount(edges[0], minlength=9) == 0
    assert unattended.any()
    assert torch.allclose(weights[:, unattended], torch.full((9, int(unattended.sum())), 1 / 9), atol=1e-5)


def test_edges_come_from_the_nearest() -> None:
    """Edges come from the k nearest others, ties broken by order."""
    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [10.0, 0.0]])
    edges = nearest_edges(line, 1)
    assert edges.tolist() == [[1, 0, 1, 2], [0, 1, 2, 3]]
    assert nearest_edges(line, 9).shape == (2, 12)
