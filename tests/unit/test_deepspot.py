"""DeepSpot: its windows, how they are pooled, and memory that changes no number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import histosge as hs
from histosge.errors import UsageError
from histosge.geometry.lattice import Lattice
from histosge.models import build_model
from histosge.models.deep.inputs import Batch
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots

SECTION = hs.synthetic(columns=8, rows=8, genes=12).section


def model(preset: str | None = None, **options: Any) -> Any:
    return build_model("deepspot", preset, **options)


def vectors(b: int, columns: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    xy = np.stack([np.arange(b) % 5, np.arange(b) // 5], axis=1).astype(np.float32)
    features = torch.tensor(rng.normal(size=(b, columns)).astype(np.float32))
    return Batch(torch.tensor(xy), torch.tensor(xy), features)


def test_deepspot_does_not_see_the_order_of_windows() -> None:
    """Windows in the spot in another order, and those around it in another one, predict the same."""
    system = model(width=8, members=3)
    network = system.build_network(16 * 4, 5).eval()
    batch = vectors(7, 16 * 4)
    windows = batch.vectors.reshape(7, 16, 4)
    rng = np.random.default_rng(0)
    order = np.concatenate([[0], 1 + rng.permutation(9), 10 + rng.permutation(6)])
    with torch.no_grad():
        usual = network(batch)
        assert torch.allclose(
            network(replace(batch, features=windows[:, order].flatten(1))), usual, atol=1e-6
        )
        # but the spot itself, those in it and those around it are different things
        swapped = windows[:, [1, 0, *range(2, 16)]]
        assert not torch.allclose(network(replace(batch, features=swapped.flatten(1))), usual, atol=1e-4)


def test_deepspot_as_published_reads_the_neighbours_on_the_array() -> None:
    """On Visium the windows lie at four of the six neighbours, each twice; on a square lattice at all eight."""
    around = model("published").needs.windows[2]
    assert around.number == 8
    offsets = around.offsets_um(55.0, SECTION.pitch_um, SECTION.lattice)
    row = int(np.argmin(np.linalg.norm(SECTION.spots.xy - SECTION.spots.xy.mean(axis=0), axis=1)))
    steps = np.abs(SECTION.lattice_xy - SECTION.lattice_xy[row]).max(axis=1)
    near = SECTION.spots.xy[steps == 1] - SECTION.spots.xy[row]
    assert len(near) == 4
    assert np.allclose(np.unique(offsets.round(3), axis=0), np.unique(near.round(3), axis=0))
    square = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    eight = around.offsets_um(100.0, 200.0, Lattice.fit(square * 200.0, square))
    assert sorted(np.linalg.norm(eight, axis=1).round(3)) == [200.0] * 4 + [282.843] * 4
    with pytest.raises(UsageError, match="have none"):
        around.offsets_um(55.0, 100.0)


def test_deepspot_does_not_count_a_window_twice() -> None:
    """Of the windows around a spot the maximum is taken: repeated ones change no prediction."""
    network = model("published", width=8, members=3).build_network(18 * 4, 5).eval()
    batch = vectors(7, 18 * 4)
    windows = batch.vectors.reshape(7, 18, 4)
    four = [*range(10), *[10, 11, 12, 13] * 2]
    repeated = [*range(10), *[10, 11, 12, 13, 13, 12, 11, 13]]
    with torch.no_grad():
        first, second = (
            network(replace(batch, features=windows[:, order].flatten(1))) for order in (four, repeated)
        )
    assert torch.allclose(first, second, atol=1e-6)


def test_deepspot_takes_median_sum_and_maximum() -> None:
    """The median over members of ReLU of a linear map; the sum in the spot, the maximum around it; a mean of heads."""
    network = model(width=4, members=3).build_network(16 * 2, 2).eval()
    batch = vectors(3, 32)
    with torch.no_grad():
        windows = batch.vectors.reshape(3, 16, 2)
        weight, bias = network.embed.weight.reshape(3, 4, 2), network.embed.bias.reshape(3, 4)
        medians = (torch.einsum("bwd,med->bwme", windows, weight) + bias).relu().sort(dim=2).values[:, :, 1]
        pooled = torch.cat([medians[:, 0], medians[:, 1:10].sum(1), medians[:, 10:].amax(1)], dim=1)
        linear = [head[2] for head in network.heads]
        expected = torch.stack([layer(pooled) for layer in linear]).mean(0)
        assert torch.allclose(network(batch), expected, atol=1e-5)


def test_deepspot_can_stop_as_published() -> None:
    """Three epochs whose training loss gains less than 0.01 end a training of 15; the preset takes all of them."""
    rng = np.random.default_rng(0)
    inputs = Inputs(at_spots(SECTION), features=rng.normal(size=(len(SECTION), 18 * 3)).astype(np.float32))
    expression = rng.gamma(2.0, size=(len(SECTION), 4))
    data = Samples(inputs, expression, np.array(list("ABCD")), np.ones(len(SECTION)))
    rule: dict[str, Any] = {"stops_by": "training", "least_gain": 0.01, "patience": 3}
    # too slow a training to gain anything
    slow: dict[str, Any] = {
        "width": 4,
        "members": 2,
        "learning_rate": 1e-9,
        "dropout": 0.0,
        "output_dropout": 0.0,
    }
    epochs = [model("published", **slow, **options).fit(data).summary()["epochs"] for options in (rule, {})]
    assert epochs == [4, 15]


def test_output_layers_of_deepspot_drop_the_same_units_when_computed_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of many spots intermediate values are computed again for the gradient: loss and gradients stay the same bits."""
    from histosge.models.deep.networks import deepspot

    network = model(width=8, members=3).build_network(16 * 2, 5).train()
    # parts of the spots draw other numbers for the embeddings
    network.embed_dropout.p = 0.0
    batch, results = vectors(9, 32), []
    for at_once in (100, 3):
        monkeypatch.setattr(deepspot, "_AT_ONCE", at_once)
        network.zero_grad()
        torch.manual_seed(0)
        loss = network(batch).square().sum()
        loss.backward()
        results.append((loss.detach(), network.heads[0][2].weight.grad.clone()))
    for first, second in zip(*results, strict=True):
        assert torch.allclose(first, second, rtol=1e-5)
