"""The parts of domain finding, each against something else that knows the answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from histosge.domains import build_method, pieces, spacing_um, within
from histosge.domains.graph import nearest
from histosge.domains.mixture import tied_mixture
from histosge.domains.networks.stagate import STAGATENetwork
from histosge.domains.networks.stmask import STMaskNetwork
from histosge.domains.reduce import by_size, standardised
from histosge.figures.domains import Panel, agreement_bars, matched


def hexagons(side: int = 12, pitch: float = 100.0) -> np.ndarray:
    column, row = np.meshgrid(np.arange(side), np.arange(side))
    return np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], -1).reshape(-1, 2) * pitch


def test_stagate_has_as_many_parameters_as_published() -> None:
    """3000 → 512 → 30, tied: 1 552 384, as computed from the layers' description."""
    network = STAGATENetwork(torch.tensor(within(hexagons(), 110.0)), 3000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_552_384


def test_stagate_is_what_its_description_says() -> None:
    """Attention by sigmoid and softmax, ELU, tied weights: written out with dense matrices."""
    xy = hexagons(5)
    torch.manual_seed(0)
    network = STAGATENetwork(torch.tensor(within(xy, 110.0)), 20, 8, 3).double()
    values = torch.rand(len(xy), 20, dtype=torch.float64)
    near = torch.tensor(np.linalg.norm(xy[:, None] - xy[None], axis=2) < 110.0)
    hidden = values @ network.first
    score = torch.sigmoid(hidden @ network.looking + (hidden @ network.looked_at).T)
    weight = torch.softmax(score.masked_fill(~near, -torch.inf), dim=1)
    middle = torch.nn.functional.elu(weight @ hidden) @ network.second
    rebuilt = torch.nn.functional.elu(weight @ (middle @ network.second.T)) @ network.first.T
    assert torch.allclose(network(values), middle)
    assert torch.allclose(network.residual(values), torch.linalg.norm(values - rebuilt))
    ends = network.attention(hidden)
    sums = torch.zeros(len(xy), dtype=torch.float64).index_add(0, network.edges[1], ends)
    assert torch.allclose(sums, torch.ones_like(sums))


def test_stmask_convolves_as_kipf_and_welling_do() -> None:
    """A layer is D^−½ (A + I) D^−½ X W + b, here with dense matrices."""
    xy = hexagons(5)
    edges = torch.tensor(nearest(xy, 6))
    network = STMaskNetwork(edges, 10, (8, 4), masked=0.2, dropped=0.2).eval()
    values = torch.rand(len(xy), 10)
    graph = torch.zeros(len(xy), len(xy))
    graph[edges[1], edges[0]] = 1.0
    degree = graph.sum(1)
    graph = graph / (degree[:, None] * degree[None]).sqrt()
    first = network.convolutions[0]
    expected = graph @ values @ first.lin.weight.T + first.bias
    assert torch.allclose(first(values, network._whole(len(xy))), expected, atol=1e-5)
    torch.manual_seed(0)
    lost = network.train().features_lost(values) + 1.3 * network.relations_lost(values)
    assert torch.isfinite(lost)


def test_neighbours_on_a_lattice() -> None:
    """Inside a hexagonal lattice a place has six neighbours within 1.1 pitches, and twelve nearest in two rings."""
    xy = hexagons()
    inner = (np.abs(xy - xy.mean(0)) < 300).all(1)
    assert (np.bincount(within(xy, 110.0)[1])[inner] == 7).all()
    near = nearest(xy, 12)
    assert (np.bincount(near[1]) == 13).all()
    far = np.linalg.norm(xy[near[0]] - xy[near[1]], axis=1)
    assert far[inner[near[1]]].max() == pytest.approx(100 * 3**0.5)


def test_places_upon_each_other_have_their_own_loop() -> None:
    """Each place looks at itself once, also where others lie upon it."""
    xy = np.zeros((5, 2))
    for edges in (nearest(xy, 2), within(xy, 1.0)):
        loops = edges[0][edges[0] == edges[1]]
        assert sorted(loops) == [0, 1, 2, 3, 4]


def test_spacing_is_the_pitch() -> None:
    """Of a hexagonal lattice, whatever its scale; a tenth more at most on a square one."""
    assert spacing_um(hexagons(20, 37.0)) == pytest.approx(37.0)
    square = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), -1).reshape(-1, 2) * 200
    assert 200 <= spacing_um(square) < 230
    assert (np.bincount(within(square, 1.1 * spacing_um(square))[1]).max()) == 5


def test_pieces_are_counted() -> None:
    """Two islands are two pieces, the larger first."""
    xy = np.concatenate([hexagons(4), hexagons(3) + 1e5])
    assert pieces(within(xy, 110.0), len(xy)).tolist() == [16, 9]


def test_the_mixture_finds_stretched_groups_that_kmeans_does_not() -> None:
    """Groups that share one long covariance are told apart across it."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 150)
    values = rng.normal(size=(300, 2)) * [12.0, 0.5] + truth[:, None] * [0.0, 4.0]
    assert adjusted_rand_score(truth, tied_mixture(values, 2)) > 0.95
    assert adjusted_rand_score(truth, KMeans(2, n_init=10, random_state=0).fit_predict(values)) < 0.5


def test_labels_are_ordered_and_columns_standardised() -> None:
    """Largest first, ties to the one met first; constant columns are left out."""
    assert by_size(np.array([5, 5, 9, 2, 2, 2, 7])).tolist() == [1, 1, 2, 0, 0, 0, 3]
    found = standardised(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert found.tolist() == [[-1.0], [1.0]]


def test_colours_follow_overlap_not_numbers() -> None:
    """Renamed domains keep the colour of the domain they overlap most with; more of them get new ones."""
    xy = hexagons(3)
    model = Panel("a", xy, np.array(["x"] * 3 + ["y"] * 3 + [""] * 3))
    found = matched(Panel("b", xy, np.array(["1"] * 3 + ["0"] * 3 + ["2"] * 3)), model)
    assert (found["1"], found["0"]) == (0, 1)
    assert found["2"] not in (0, 1)
    figure = agreement_bars({"kmeans": {"raw": [0.3, 0.4]}, "stagate": {"raw": [0.5]}})
    assert [patch.get_height() for patch in figure.axes[0].patches] == pytest.approx([0.35, 0.5])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kmeans", {"starts": 0}),
        ("leiden", {"resolution": 0.0}),
        ("stagate", {"radius": 0.0}),
        ("stagate", {"width": 0}),
        ("stagate", {"epochs": 0}),
        ("stmask", {"masked": 1.0}),
        ("stmask", {"narrow": 0}),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict[str, object]) -> None:
    """Before anything is computed."""
    from histosge.errors import UsageError

    with pytest.raises(UsageError):
        build_method(name, **options)
