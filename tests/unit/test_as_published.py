"""Facts of the published systems: one test each, of structure and parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import histosge as hs
from histosge.errors import UsageError
from histosge.models import build_model
from histosge.models.base import Crop
from histosge.models.deep import epochs_by_folds as _epochs_by_folds
from histosge.models.deep.batches import windows
from histosge.models.deep.inputs import Batch, InputScaling
from histosge.models.deep.networks import augmentation
from histosge.models.deep.networks.graph import GraphAttention, nearest_edges
from histosge.models.deep.training import TrainingConfig, TrainingHistory, Validation
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots

SECTION = hs.synthetic(columns=6, rows=6, genes=8).section


def model(name: str, preset: str | None, **options: Any) -> Any:
    return build_model(name, preset, **options)


def test_the_paper_has_three_projections() -> None:
    """Eq. (4) has W^Q, W^K and W^V: query, key and value of the preset ``paper`` differ."""
    attention = model("histosge", "paper").build_network(16, 5).learner.attention
    query, key, value = attention.split(torch.randn(3, 16))
    assert not torch.equal(query, key)
    assert not torch.equal(key, value)


def test_vgg16_drops_half_of_the_units_twice() -> None:
    """torchvision's VGG16 has two layers with dropout 0.5 before its last; DeepSpaCE trains with them."""
    with torch.device("meta"):
        body = model("deepspace", "original").build_network(0, 5).body
        densenet = model("stnet", "original").build_network(0, 5).body
    dropped = [layer.p for layer in body.modules() if isinstance(layer, nn.Dropout)]
    assert dropped == [0.5, 0.5]
    assert not [layer for layer in densenet.modules() if isinstance(layer, nn.Dropout) and layer.p]


@pytest.mark.parametrize("name", ["histogene", "thitogene"])
def test_pixels_are_those_of_the_authors(name: str) -> None:
    """Patches go in as 0 to 255, for which the authors' learning rates are made; scaled ones are an option."""
    with torch.device("meta"):
        for preset in ("original", "paper"):
            assert model(name, preset).build_network(0, 5).divisor == 1.0
        assert model(name, None, raw255=False).build_network(0, 5).divisor == 255.0
    assert model("thitogene", "original").published_axis
    assert not model("thitogene", "paper").published_axis


def test_a_patch_of_deepspace_is_two_and_a_half_spots_wide() -> None:
    """5 radii: 376 px for spots of radius 75; of a spot of 55 µm 137.5 µm, whatever the µm per pixel."""
    crop = model("deepspace", "original").needs.crop
    assert crop.width_um(0.3, 55.0) == crop.width_um(3.0, 55.0) == 137.5
    assert round(crop.width_um(1.0, 150.0)) == 375
    with pytest.raises(UsageError, match="crop_um"):
        crop.width_um(1.0, 0.0)
    assert Crop.of(None, 112).width_um(0.5, 55.0) == 56.0


def test_st_net_takes_the_epoch_that_its_folds_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each spot is predicted once; the epoch with the least pooled squared error is the last of the fit."""
    stnet = model(
        "stnet", "original", epochs=5, backbone="test_resnet", network_px=32, initialisation="random"
    )
    assert (stnet.folds, model("stnet", None).folds) == (4, None)
    seen: list[np.ndarray] = []

    def losses(_: Any, samples: Any, validating: np.ndarray, **__: Any) -> np.ndarray:
        seen.append(validating)
        return np.array([5.0, 4.0, 1.0, 3.0, 2.0])

    monkeypatch.setattr(_epochs_by_folds, "_losses", losses)
    samples = Samples(
        Inputs(at_spots(SECTION)), np.zeros((len(SECTION), 1)), np.array(["A"]), np.ones(len(SECTION))
    )
    assert _epochs_by_folds.epochs_by_folds(stnet, samples, 4) == 3
    assert sorted(np.concatenate(seen).tolist()) == list(range(len(SECTION)))


@pytest.mark.parametrize("name", ["stnet", "deepspace", "histogene", "thitogene", "feedforward", "gat"])
def test_rivals_have_no_last_activation(name: str) -> None:
    """Nothing cuts their predictions at 0: a gene that was cut everywhere would be constant, and undefined."""
    assert not model(name, None).clips_predictions


def test_each_head_of_graph_attention_begins_with_its_own_bound() -> None:
    """Xavier's bound with gain 1.414 is that of one head, whatever their number: 0.0968 for 1024 to 256."""
    graph = GraphAttention(1024, heads=4, hidden=256, out=8, dropout=0.0, slope=0.01)
    largest = graph.multi_head.lin.weight.detach().abs().max()
    assert float(largest) == pytest.approx(1.414 * (6 / (1024 + 256)) ** 0.5, rel=1e-3)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(("gain", "standardised"), [(0.03, True), (1.0, False)])
def test_features_of_another_gain_are_standardised(gain: float, standardised: bool, joined: bool) -> None:
    """``published`` reads features of order 1 as they come; others get that scale, whatever joins them."""
    values = gain * np.random.default_rng(0).normal(size=(len(SECTION), 4)).astype(np.float32)
    inputs, published = Inputs(at_spots(SECTION), features=values), model("histosge", "published")
    scaling = InputScaling.of(
        inputs, published.needs, standardise=published.scales_features, join_position=joined
    )
    read = scaling.network_inputs(inputs, published.needs, join_position=joined).features
    assert read is not None
    assert read.shape[1] == (6 if joined else 4)
    assert np.allclose(read.std(axis=0)[:4], 1 if standardised else values.std(axis=0), rtol=1e-3)


def test_windows_are_random_in_space() -> None:
    """Barcodes are kept as listed; an array listed row by row is drawn, since the published order has no space."""
    xy = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)
    by_row = windows(xy, 50, "unordered")
    assert not np.array_equal(by_row[0], np.arange(50))
    assert sorted(np.concatenate(by_row).tolist()) == list(range(400))
    barcodes = xy[np.random.default_rng(1).permutation(400)]
    assert np.array_equal(windows(barcodes, 50, "unordered")[0], np.arange(50))
    assert model("histosge", "published").batching.order == "unordered"


@pytest.mark.parametrize("name", ["feedforward", "gat", "stage-plus"])
def test_ablations_can_read_the_features_of_the_published_model(name: str) -> None:
    """The paper's ablations read the same features as its HisToSGE: 50 px, red and blue swapped, unscaled."""
    published = model(name, "published")
    assert published.needs.crop == model("histosge", "published").needs.crop
    assert published.scales_features == "auto"
    assert model(name, None).needs.crop.channel_order == "rgb"


def test_the_published_graph_has_four_neighbours_on_the_array() -> None:
    """On the hexagon the four nearest array positions are the diagonal ones; two of six neighbours are left out."""
    gat = model("gat", "published")
    assert (gat.neighbours, gat.window_size, gat.reads_lattice) == (4, 50, True)
    # Visium: neighbours in a row are two columns apart
    lattice = torch.tensor([[c, r] for r in range(5) for c in range(r % 2, 10, 2)], dtype=torch.float32)
    centre = int(((lattice - torch.tensor([4.0, 2.0])) ** 2).sum(dim=1).argmin())
    edges = nearest_edges(lattice, gat.neighbours)
    near = lattice[edges[0][edges[1] == centre]] - lattice[centre]
    assert sorted(map(tuple, near.abs().tolist())) == [(1.0, 1.0)] * 4


def test_histogene_trains_longer_on_the_mouse_brain() -> None:
    """The group's adaptation has ten times the learning rate and eight times the epochs there."""
    mouse, usual = model("histogene", "mouse"), model("histogene", "paper")
    assert mouse.learning_rate == pytest.approx(10 * usual.learning_rate)
    assert mouse.epochs == 8 * usual.epochs
    assert replace(mouse, learning_rate=usual.learning_rate, epochs=usual.epochs) == usual


def test_deepspace_keeps_the_epoch_of_the_best_correlation() -> None:
    """It stops after five epochs whose loss is not below the one before, and takes the best correlation."""
    original = model("deepspace", "original")
    assert (original.patience, original.better_than, original.criterion) == (5, "previous", "correlation")
    history = TrainingHistory()
    for loss, correlation in [(3.0, 0.1), (2.0, 0.4), (2.5, 0.2), (2.4, 0.3), *[(2.4, 0.1)] * 5]:
        assert not history.is_finished(original)
        history = history.with_epoch(0.0, Validation(loss, -correlation), keep_best=True)
    # the fall from 2.5 to 2.4 began the count anew, though 2.0 was less
    assert history.is_finished(original)
    assert history.best_epoch == 2


def test_deepspace_shifts_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its augmentation shifts each channel by its own number of levels, at most 20 of 255."""
    torch.manual_seed(0)
    shifted = augmentation._shifted_channels(torch.zeros(3, 4, 4))
    levels = [set(channel.flatten().tolist()) for channel in shifted]
    assert [len(values) for values in levels] == [1, 1, 1]
    assert len(set.union(*levels)) == 3
    assert float(shifted.abs().max()) <= 20 / 255


def test_learning_rates_can_grow_first() -> None:
    """The authors' later code warms up for five epochs, and then follows a cosine."""
    config = TrainingConfig(epochs=55, learning_rate=0.6, schedule="cosine", warmup=5)
    assert [round(config.learning_rate_at(epoch), 3) for epoch in range(6)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert config.learning_rate_at(30) == pytest.approx(0.3)
    with pytest.raises(UsageError, match="warmup"):
        TrainingConfig(epochs=4, warmup=5)


def test_the_decoder_of_stage_alone_is_trained_on_true_positions() -> None:
    """VGE, STAGE's own ablation: the decoder reads positions in training too, and there is no encoder."""
    stage = model("stage", "vge")
    network = stage.build_network(0, 5)
    batch = Batch(torch.rand(9, 2), torch.rand(9, 2))
    loss = stage.loss(network, batch, torch.rand(9, 5))
    loss.backward()
    assert all(value.grad is not None for value in network.parameters())
    assert (
        sum(value.numel() for value in model("stage", "vge").build_network(0, 1000).parameters()) == 1_531_200
    )
