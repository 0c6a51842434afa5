"""Deep systems and their networks: published sizes, layers, losses, first weights, faults as options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histosge.errors import UsageError, WeightsError
from histosge.models import build_model


def size(module: Any) -> int:
    return sum(value.numel() for value in module.parameters())


def network(name: str, genes: int, inputs: int = 0, **options: Any) -> Any:
    return build_model(name, None, **options).build_network(inputs, genes)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "genes", "inputs", "options", "parameters"),
    [
        ("feedforward", 1000, 1024, {}, 9_404_392),
        ("histogene", 785, 0, {"positions": 64}, 106_648_337),
        ("histogene", 1000, 0, {}, 106_999_784),
        ("thitogene", 785, 0, {"positions": 64}, 63_586_712),
        ("thitogene", 1000, 0, {}, 63_815_279),
        ("stage", 1000, 0, {}, 1_530_202 + 1_531_200),
        ("stage-plus", 1000, 1024, {}, 1_554_202 + 1_531_200),
        ("stnet", 1000, 0, {}, 7_978_856),
        ("deepspace", 1000, 0, {}, 138_357_544),
    ],
)
def test_networks_have_their_published_size(
    name: str, genes: int, inputs: int, options: dict[str, Any], parameters: int
) -> None:
    """Parameters are counted as the published descriptions add up to."""
    assert size(network(name, genes, inputs, **options)) == parameters


def test_parts_have_their_published_size() -> None:
    """So are THItoGene's dynamic convolution, capsules and graph, DeepSpaCE's last layer and STAGE's halves."""
    parts = network("thitogene", 785, positions=64)
    assert size(parts.dynamic) == 3_815
    assert size(parts.convolutions) + size(parts.capsules) == 317_344
    assert size(parts.graph) == 15_746_048
    assert size(network("deepspace", 1000).head) == 4_097_000
    assert size(network("stage", 1000).encoder) == 1_530_202


def test_thitogene_shapes() -> None:
    """112 pixels become 28, 24, 22, 20, 9 and then twenty capsules of 64."""
    import torch

    parts = network("thitogene", 10)
    windows = torch.rand(3, 3, 112, 112)
    dynamic = parts.dynamic(windows)
    assert dynamic.shape == (3, 16, 28, 28)
    convolved = parts.convolutions(dynamic)
    assert convolved.shape == (3, 128, 9, 9)
    assert parts.capsules(convolved).shape == (3, 20, 64)


def test_capsules_share_their_votes() -> None:
    """Couplings of an input add up to 1 over outputs; squashed capsules keep their direction and are shorter than 1."""
    import torch

    from histosge.models.deep.networks.thitogene import Capsules, squash

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


def attention_weights(published_axis: bool) -> Any:
    """Attention weights n × n of one head: its values are the identity, so that its outputs are the weights."""
    import torch

    from histosge.models.deep.networks.graph import GraphAttention, nearest_edges

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
    import torch

    weights, edges = attention_weights(published_axis=False)
    assert torch.allclose(weights.sum(dim=1), torch.ones(9), atol=1e-5)
    assert (weights.diagonal() == 0).all()
    attends = torch.zeros(9, 9).index_put((edges[1], edges[0]), torch.ones(27))
    assert ((weights > 0) == (attends > 0)).all()


def test_the_published_axis_adds_up_over_those_that_attend() -> None:
    """With the published fault weights add up over those that attend; an unattended location has uniform weights."""
    import torch

    weights, edges = attention_weights(published_axis=True)
    assert torch.allclose(weights.sum(dim=0), torch.ones(9), atol=1e-5)
    assert not torch.allclose(weights.sum(dim=1), torch.ones(9), atol=1e-2)
    unattended = torch.bincount(edges[0], minlength=9) == 0
    assert unattended.any()
    assert torch.allclose(weights[:, unattended], torch.full((9, int(unattended.sum())), 1 / 9), atol=1e-5)


def test_edges_come_from_the_nearest() -> None:
    """Edges come from the k nearest others, ties broken by order."""
    import torch

    from histosge.models.deep.networks.graph import nearest_edges

    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [10.0, 0.0]])
    edges = nearest_edges(line, 1)
    assert edges.tolist() == [[1, 0, 1, 2], [0, 1, 2, 3]]
    assert nearest_edges(line, 9).shape == (2, 12)


def test_the_loss_of_stage_is_the_published_sum() -> None:
    """With a perfect encoder the latent loss is 0; the total is 0.1 · latent + 0.01 · reconstruction."""
    import torch

    from histosge.models.deep.inputs import Batch
    from histosge.models.deep.networks.stage import sliced_wasserstein

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
    import torch

    from histosge.models.deep.networks.stage import sliced_wasserstein

    torch.manual_seed(0)
    points = torch.randn(50, 2)
    assert float(sliced_wasserstein(points, points.flip(0))) == pytest.approx(0.0, abs=1e-10)
    # the mean of cos² over directions is 1/2
    assert float(sliced_wasserstein(points, points + torch.tensor([1.0, 0.0]))) == pytest.approx(
        0.5, abs=0.06
    )


def test_st_net_begins_at_the_mean() -> None:
    """As published, an untrained ST-Net predicts the mean expression everywhere: no correlation is defined."""
    import torch

    from histosge.models.deep.inputs import NetworkInputs

    model: Any = build_model(
        "stnet", "original", backbone="test_resnet", network_px=32, initialisation="random"
    )
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
    targets = rng.random((12, 5)).astype(np.float32)
    inputs = NetworkInputs(np.zeros((12, 2)), np.zeros((12, 2)), None, patches)
    net = model.build_network(0, 5)
    assert model.initialise(net, inputs, targets) == "random initialisation"
    net.eval()
    with torch.no_grad():
        outputs = model.outputs(net, inputs.batch(np.arange(12), "cpu"))
    assert np.allclose(outputs, targets.mean(axis=0), atol=1e-6)
    assert np.allclose(net.get_buffer("mean").ravel(), patches.reshape(-1, 3).mean(axis=0), atol=1e-3)


def test_a_square_has_eight_orientations() -> None:
    """All orientations differ, and a random one is one of them."""
    import torch

    from histosge.models.deep.networks.augmentation import oriented, randomly_oriented

    patch = torch.arange(9.0).view(1, 1, 3, 3)
    orientations = {tuple(oriented(patch, k).flatten().tolist()) for k in range(8)}
    assert len(orientations) == 8
    assert tuple(randomly_oriented(patch).flatten().tolist()) in orientations


def test_augmented_patches_keep_their_shape_and_range() -> None:
    """DeepSpaCE's augmentation changes patches within 0 to 255, and repeats with the seed."""
    import torch

    from histosge.models.deep.networks.augmentation import augmented

    patches = torch.rand(6, 3, 32, 32) * 255
    torch.manual_seed(0)
    changed = augmented(patches)
    torch.manual_seed(0)
    assert torch.equal(changed, augmented(patches))
    assert changed.shape == patches.shape
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert not torch.allclose(changed, patches)


@pytest.mark.parametrize(("name", "backbone"), [("stnet", "densenet121"), ("deepspace", "vgg16")])
def test_imagenet_weights_come_from_a_file(name: str, backbone: str, tmp_path: Path) -> None:
    """All but the last layer is loaded from a local file with timm's or torchvision's names."""
    import torch
    import torchvision
    from safetensors.torch import save_file

    from histosge.models.deep.inputs import NetworkInputs

    theirs = getattr(torchvision.models, backbone)(weights=None)
    path = tmp_path / "weights.safetensors"
    save_file({key: value.clone() for key, value in theirs.state_dict().items()}, path)
    model: Any = build_model(name, None, weights=str(path), initialisation="imagenet")
    net = model.build_network(0, 5)
    blank = NetworkInputs(np.zeros((4, 2)), np.zeros((4, 2)), None, np.zeros((4, 8, 8, 3), np.uint8))
    assert "ImageNet" in model.initialise(net, blank, np.zeros((4, 5), np.float32))
    theirs.eval()
    net.eval()
    batch = blank.batch(np.arange(4), "cpu").with_patches(torch.rand(2, 3, 224, 224) * 255)
    with torch.no_grad():
        scaled = (batch.images - net.get_buffer("mean")) / net.get_buffer("std")
        # the last layers differ; their inputs must not
        caught: list[Any] = []
        net.head.register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
        last = theirs.classifier if backbone == "densenet121" else theirs.classifier[6]
        last.register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
        net(batch)
        theirs(scaled)
    assert torch.allclose(caught[0].flatten(1), caught[1].flatten(1), atol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """A file of other weights, or none where they are required, is one sentence."""
    import torch
    from safetensors.torch import save_file

    from histosge.models.deep.inputs import NetworkInputs

    blank = NetworkInputs(np.zeros((4, 2)), np.zeros((4, 2)), None, np.zeros((4, 8, 8, 3), np.uint8))
    path = tmp_path / "weights.safetensors"
    save_file({"a.weight": torch.zeros(3)}, path)
    for weights in (str(path), str(tmp_path / "nothing.bin")):
        model: Any = build_model("stnet", None, weights=weights, initialisation="imagenet")
        with pytest.raises(WeightsError, match=r"weights"):
            model.initialise(model.build_network(0, 5), blank, np.zeros((4, 5), np.float32))


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("stnet", {"epochs": 0}, "1 or more"),
        ("deepspace", {"patience": 3}, "validation"),
        ("histogene", {"depth": 0}, "1 or more"),
        ("thitogene", {"network_px": 64}, "112"),
        ("stage", {"batch": 1}, "2 or more"),
        ("stage-plus", {"batch": 1}, "2 or more"),
        ("feedforward", {"batch": 1}, "2 or more"),
        ("gat", {"neighbours": 0}, "1 or more"),
        ("pca-ridge", {"components": 0}, "1 or more"),
        ("boosting", {"rate": 0.0}, "above 0"),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, Any], sentence: str) -> None:
    """Options that cannot work are refused before any work is done."""
    with pytest.raises(UsageError, match=sentence):
        build_model(name, None, **options)


def test_an_unknown_backbone_is_refused_with_near_misses() -> None:
    """A network that timm does not have is refused by name."""
    with pytest.raises(UsageError, match="vgg16"):
        network("deepspace", 5, backbone="vgg_16")
