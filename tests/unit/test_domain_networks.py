"""STAGATE and STMask: published sizes, and layers written out with dense matrices."""

from __future__ import annotations

import numpy as np
import torch

from histosge.domains import build_method
from histosge.domains.neighbours import edges_within, nearest_edges
from histosge.domains.networks.stagate import STAGATENetwork
from histosge.domains.networks.stmask import STMaskNetwork


def hexagons(side: int = 12, pitch: float = 100.0) -> np.ndarray:
    column, row = np.meshgrid(np.arange(side), np.arange(side))
    return np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], -1).reshape(-1, 2) * pitch


def test_stagate_has_as_many_parameters_as_published() -> None:
    """3000 → 512 → 30 with tied weights: 1 552 384, as computed from the description of the layers."""
    network = STAGATENetwork(torch.tensor(edges_within(hexagons(), 110.0)), 3000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_552_384


def test_stagate_equals_its_published_equations() -> None:
    """Attention by sigmoid and softmax, ELU, tied weights: written out with dense matrices."""
    xy = hexagons(5)
    torch.manual_seed(0)
    network = STAGATENetwork(torch.tensor(edges_within(xy, 110.0)), 20, 8, 3).double()
    values = torch.rand(len(xy), 20, dtype=torch.float64)
    near = torch.tensor(np.linalg.norm(xy[:, None] - xy[None], axis=2) < 110.0)
    hidden = values @ network.first
    score = torch.sigmoid(hidden @ network.attending + (hidden @ network.attended).T)
    weight = torch.softmax(score.masked_fill(~near, -torch.inf), dim=1)
    latent = torch.nn.functional.elu(weight @ hidden) @ network.second
    decoded = torch.nn.functional.elu(weight @ (latent @ network.second.T)) @ network.first.T
    assert torch.allclose(network(values), latent)
    assert torch.allclose(network.residual(values), torch.linalg.norm(values - decoded))
    ends = network.attention(hidden)
    sums = torch.zeros(len(xy), dtype=torch.float64).index_add(0, network.edges[1], ends)
    assert torch.allclose(sums, torch.ones_like(sums))


def test_stagate_as_its_pytorch_code_trains_it() -> None:
    """The mean square is minimised, and the decoder's copies of the weights pass no gradient to the encoder."""
    xy = hexagons(5)
    edges = torch.tensor(edges_within(xy, 110.0))
    torch.manual_seed(0)
    network = STAGATENetwork(edges, 20, 8, 3, pytorch=True).double()
    tied = STAGATENetwork(edges, 20, 8, 3).double()
    tied.load_state_dict(network.state_dict())
    values = torch.rand(len(xy), 20, dtype=torch.float64)
    loss = network.residual(values)
    assert torch.allclose(loss, tied.residual(values) ** 2 / values.numel())
    loss.backward()
    # the weights of the second layer once as the encoder's alone, once as the decoder's too
    embedding = torch.nn.functional.elu(
        network._averaged(values @ network.first, network.attention(values @ network.first))
    )
    encoder = network.second.detach().clone().requires_grad_(True)
    weight = network.attention(values @ network.first).detach()
    hidden = torch.nn.functional.elu(
        network._averaged(embedding.detach() @ encoder @ network.second.detach().T, weight)
    )
    (values - hidden @ network.first.detach().T).square().mean().backward()
    assert torch.allclose(network.second.grad, encoder.grad)
    method = build_method("stagate", "pytorch")
    assert (method.training.epochs, method.training.weight_decay, method.penalty) == (1000, 1e-4, 0.0)  # type: ignore[attr-defined]


def test_published_genes_of_stmask_are_seen_in_fifty_spots() -> None:
    """The published pipeline takes genes with counts in 50 spots or more; K-means takes the genes, from one start."""
    stmask, kmeans = build_method("stmask", "published"), build_method("kmeans", "published")
    assert stmask.genes == "hvg:2000:50"
    assert (kmeans.components, kmeans.starts) == (0, 1)  # type: ignore[attr-defined]


def test_stmask_convolves_as_kipf_and_welling_do() -> None:
    """A layer is D^−½ (A + I) D^−½ X W + b, here with dense matrices."""
    xy = hexagons(5)
    edges = torch.tensor(nearest_edges(xy, 6))
    network = STMaskNetwork(edges, 10, (8, 4), masked=0.2, dropped=0.2).eval()
    values = torch.rand(len(xy), 10)
    graph = torch.zeros(len(xy), len(xy))
    graph[edges[1], edges[0]] = 1.0
    degree = graph.sum(1)
    graph = graph / (degree[:, None] * degree[None]).sqrt()
    first = network.convolutions[0]
    expected = graph @ values @ first.lin.weight.T + first.bias
    assert torch.allclose(first(values, network._full_graph(len(xy))), expected, atol=1e-5)
    torch.manual_seed(0)
    loss = network.train().feature_loss(values) + 1.3 * network.relation_loss(values)
    assert torch.isfinite(loss)
