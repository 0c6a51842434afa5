"""BLEEP, mclSTExp, DeepSpot and TRIPLEX: sizes, losses and symmetries as described; what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import histosge as hs
from histosge.errors import UsageError
from histosge.models import build_model, predict
from histosge.models.deep.inputs import Batch
from histosge.models.deep.networks.contrastive import identity_contrast, similarity_contrast
from histosge.models.deep.networks.row_parts import in_row_parts
from histosge.models.deep.networks.triplex import Branches, fused_loss, lattice_neighbours
from histosge.models.deep.section_spots import whole_positions
from histosge.section.inputs import Inputs, Samples, in_section
from histosge.section.locations import at_spots

SECTION = hs.synthetic(columns=8, rows=8, genes=12).section
N = len(SECTION)
# parameters of the trunks, which here are encoders: DenseNet-121 and ResNet-18 without their last layers
DENSENET, RESNET = 6_953_856, 11_176_512


def model(name: str, preset: str | None = None, **options: Any) -> Any:
    return build_model(name, preset, **options)


def size(module: Any) -> int:
    return sum(value.numel() for value in module.parameters())


def samples(features: np.ndarray | None = None, columns: int = 6) -> Samples:
    """Spots with features that tell of expression."""
    rng = np.random.default_rng(0)
    expression = rng.gamma(2.0, size=(N, 5)).astype(np.float32)
    if features is None:
        features = np.repeat(expression[:, :1], columns, axis=1) + rng.normal(size=(N, columns))
    inputs = Inputs(at_spots(SECTION), features=features.astype(np.float32))
    return Samples(inputs, expression, np.array(list("ABCDE")), np.ones(N))


def vectors(b: int, columns: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    xy = np.stack([np.arange(b) % 5, np.arange(b) // 5], axis=1).astype(np.float32)
    features = torch.tensor(rng.normal(size=(b, columns)).astype(np.float32))
    return Batch(torch.tensor(xy), torch.tensor(xy), features)


def test_networks_have_their_published_size() -> None:
    """Without the trunks, which are frozen encoders here, parameters are counted as the descriptions add up to."""
    with torch.device("meta"):
        bleep = model("bleep").build_network(2048, 3467)
        assert (size(bleep.image), size(bleep.spot)) == (590_848, 954_112)
        assert size(model("bleep").build_network(2048, 1000).spot) == 322_560
        mclstexp = model("mclstexp", positions=65_536).build_network(1024, 785)
        assert size(mclstexp) + DENSENET == 116_132_850
        assert size(model("deepspot").build_network(16 * 1024, 1000)) == 20_618_000
        published = model("triplex", "published").build_network(41 * 512, 250)
        assert size(published) + RESNET == 29_293_816
        wide = model("triplex", width=1024, depths=(1, 2, 2), heads=(8, 16, 16), ratios=(2.0, 2.0, 2.0))
        # that configuration's target tokens are ResNet's, 512 wide
        assert size(wide.build_network(41 * 1024, 300)) - 512 * 1024 + RESNET == 54_932_688


def test_the_loss_of_bleep_does_not_depend_on_the_order_of_a_batch() -> None:
    """Permuted pairs have the same loss; images given to other spots have a larger one."""
    torch.manual_seed(0)
    images = torch.randn(20, 8)
    spots = images + 0.1 * torch.randn(20, 8)
    order = torch.randperm(20)
    loss = similarity_contrast(images, spots, 1.0)
    assert torch.allclose(similarity_contrast(images[order], spots[order], 1.0), loss, rtol=1e-5)
    assert similarity_contrast(images[order], spots, 1.0) > loss


def test_targets_of_bleep_carry_gradients() -> None:
    """The loss is ½ [CE(L, T) + CE(Lᵀ, Tᵀ)] with T = softmax((I Iᵀ + S Sᵀ) / 2τ), whose gradient is kept."""
    torch.manual_seed(0)
    images, spots = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    images.requires_grad_()
    logits, within = (spots @ images.T) / 2.0, (images @ images.T + spots @ spots.T) / 4.0

    def expected(targets: torch.Tensor) -> torch.Tensor:
        rows = -(targets * logits.log_softmax(1)).sum(1).mean()
        return (rows - (targets.T * logits.T.log_softmax(1)).sum(1).mean()) / 2

    (gradient,) = torch.autograd.grad(similarity_contrast(images, spots, 2.0), images)
    assert torch.allclose(
        gradient, torch.autograd.grad(expected(within.softmax(1)), images, retain_graph=True)[0]
    )
    assert not torch.allclose(gradient, torch.autograd.grad(expected(within.softmax(1).detach()), images)[0])


def test_chance_is_the_logarithm_of_the_batch() -> None:
    """Where all spots are alike mclSTExp's loss is ln B: 4.85 for 128, at which a user saw it stay."""
    alike = torch.randn(1, 16).expand(128, 16)
    assert float(identity_contrast(alike, alike, 1.0)) == pytest.approx(math.log(128), abs=1e-5)
    torch.manual_seed(0)
    known = 4 * torch.nn.functional.normalize(torch.randn(128, 64))
    assert float(identity_contrast(known, known, 1.0)) < 0.01


def test_an_untrained_model_is_at_chance() -> None:
    """mclSTExp's untrained loss is ln B for cosines; for its own similarities, far above, whatever is paired."""
    torch.manual_seed(0)
    spots, genes, columns = 128, 60, 40
    network = model("mclstexp").build_network(columns, genes).eval()
    batch = vectors(spots, columns)
    expression = torch.tensor(np.random.default_rng(1).gamma(2.0, size=(spots, genes)).astype(np.float32))
    with torch.no_grad():
        images, keys = network(batch), network.spot_embeddings(batch, expression)
    cosines = float(model("mclstexp", temperature=256.0).contrast(images, keys))
    assert cosines == pytest.approx(math.log(spots), abs=0.02)
    own = float(model("mclstexp").contrast(images, keys))
    shuffled = [float(model("mclstexp").contrast(images[torch.randperm(spots)], keys)) for _ in range(50)]
    assert own > 2 * math.log(spots)
    assert abs(own - np.mean(shuffled)) < 4 * np.std(shuffled)


@pytest.mark.parametrize("name", ["bleep", "mclstexp"])
def test_all_spots_give_the_mean_and_a_constant_image_its_prediction(name: str) -> None:
    """The mean of all spots rows is that of the genes; a constant image has one prediction."""
    data = samples()
    options: dict[str, Any] = {"epochs": 2, "width": 8, "nearest": N}
    options |= {"heads": 1, "head_width": 4, "depth": 1} if name == "mclstexp" else {}
    everything = predict(model(name, **options).fit(data), data.inputs).mean
    if name == "bleep":
        assert np.allclose(everything, data.expression.mean(axis=0), atol=1e-5)
    few = model(name, **options | {"nearest": 3}).fit(data)
    assert len(np.unique(predict(few, data.inputs).mean, axis=0)) > 1
    constant = samples(np.ones((N, 6)))
    same = predict(model(name, **options | {"nearest": 3}).fit(constant), constant.inputs).mean
    assert np.allclose(same, same[0], atol=1e-5)


def test_bleep_does_not_average_all_of_few_spots() -> None:
    """Fitted to fewer spots than it averages, BLEEP takes an eighth of them, and not the mean everywhere."""
    data = samples()
    predicted = predict(model("bleep", epochs=2, width=8, nearest=N + 1).fit(data), data.inputs).mean
    assert model("bleep").neighbours(N - 16) == (N - 16) // 8
    assert predicted.std(axis=0).min() > 0.01


def test_weights_of_similar_spots() -> None:
    """BLEEP's option has exp(−δ²); mclSTExp 1/δ², by either distance; each row of weights sums to 1."""
    images, keys = np.zeros((1, 2)), np.array([[[1.0, 0.0], [1.0, 1.0]]])
    exponential = model("bleep", weighting="exponential").weights(images, keys)
    assert exponential == pytest.approx(np.exp([[-1.0, -2.0]]) / np.exp([-1.0, -2.0]).sum())
    assert model("mclstexp").weights(images, keys) == pytest.approx(np.array([[2 / 3, 1 / 3]]))
    assert model("mclstexp", distance="l1").weights(images, keys) == pytest.approx(np.array([[0.8, 0.2]]))


def test_keys_of_mclstexp_depend_on_their_batch_as_published_only() -> None:
    """Where all spots attend to each other, embeddings follow the spots in any order; as published they do not."""
    order = np.random.default_rng(1).permutation(N)
    data = samples()
    options = {"epochs": 1, "width": 8, "depth": 1, "heads": 2, "head_width": 4, "crop_px": None}
    for preset, equal in ((None, True), ("published", False)):
        system = model("mclstexp", preset, **options)
        fitted = system.fit(data)
        inputs = system.network_inputs(fitted.scaling, data.inputs.take(order))
        keys = system.keys(fitted.network, inputs, data.expression[order], "cpu")
        assert np.allclose(keys, fitted.keys[order], atol=1e-4) is equal


@pytest.mark.parametrize("training", [True, False])
def test_rows_in_parts_have_the_same_values_and_gradients(training: bool) -> None:
    """Memory is bounded by computing parts, and again for the gradient; the numbers stay."""
    layer = torch.nn.Linear(3, 2)
    values = torch.randn(11, 3)
    results = []
    for rows in (2, 100):
        layer.zero_grad()
        output = in_row_parts(lambda part: layer(part).relu(), values, rows, training=training)
        output.square().sum().backward()
        results.append((output.detach(), layer.weight.grad.clone()))  # type: ignore[union-attr]
    for first, second in zip(*results, strict=True):
        assert torch.allclose(first, second, atol=1e-5)


def test_the_loss_of_triplex_is_the_sum_described() -> None:
    """With α = 0.3, a branch without error leaves its distance from the fusion, and others leave both terms."""
    truth = torch.zeros(2, 3)
    fusion = truth + 1.0
    branches = Branches(fusion, target=truth, neighbour=truth + 2.0, section=fusion)
    expected = 1.0 + 0.3 * 1.0 + (0.7 * 4.0 + 0.3 * 1.0) + 0.7 * 1.0
    assert float(fused_loss(branches, truth, 0.3)) == pytest.approx(expected)


def test_the_convolution_of_triplex_runs_over_the_lattice() -> None:
    """On a full square lattice it equals a depthwise 3 × 3 convolution, in any order of the locations."""
    network = model("triplex", width=16, heads=(2, 2, 2)).build_network(41 * 3, 4)
    rng = np.random.default_rng(0)
    xy = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    tokens = torch.tensor(rng.normal(size=(20, 16)).astype(np.float32))
    order = rng.permutation(20)
    with torch.no_grad():
        image = tokens.reshape(4, 5, 16).permute(2, 0, 1)[None]
        expected = network.steps(image)[0].permute(1, 2, 0).reshape(20, 16)
        neighbours = torch.as_tensor(lattice_neighbours(xy[order]))
        rows = network._convolved(tokens[order], tokens[order], neighbours)
    assert torch.allclose(rows, expected[order], atol=1e-5)


def test_the_convolution_sees_four_of_six_neighbours_on_visium() -> None:
    """A 3 × 3 window of the array holds the spot and the four neighbours in the next rows, as published."""
    row = int(np.argmin(np.linalg.norm(SECTION.spots.xy - SECTION.spots.xy.mean(axis=0), axis=1)))
    rows = lattice_neighbours(SECTION.lattice_xy)[row]
    real = rows[rows < N]
    distances = np.linalg.norm(SECTION.spots.xy[real] - SECTION.spots.xy[row], axis=1) / SECTION.pitch_um
    assert sorted(distances.round(3)) == [0.0] + [1.0] * 4
    assert set(np.abs(SECTION.lattice_xy[real] - SECTION.lattice_xy[row]).sum(axis=1)) == {0.0, 2.0}


def small_triplex() -> Any:
    shape = {"depths": (1, 2, 1), "heads": (2, 2, 2), "target_side": 1, "neighbour_side": 3}
    return model("triplex", width=16, epochs=2, **shape)


def test_tokens_of_triplex_computed_twice_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many locations the first layers are computed again for the gradient: loss and gradients stay."""
    from histosge.models.deep.networks import triplex

    system = model("triplex", width=16, heads=(2, 2, 2), dropouts=(0.0, 0.0, 0.0))
    network = system.build_network(41 * 3, 4).train()
    batch, results = vectors(9, 41 * 3), []
    for at_once in (100, 3):
        monkeypatch.setattr(triplex, "_AT_ONCE", at_once)
        network.zero_grad()
        loss = system.loss(network, batch, torch.ones(9, 4))
        loss.backward()
        layers = (network.project, network.project_target)
        results.append([loss.detach(), *(layer.weight.grad.clone() for layer in layers)])
    for first, second in zip(*results, strict=True):
        assert torch.allclose(first, second, rtol=1e-4, atol=1e-6)


def test_locations_of_triplex_attend_to_the_spots_fitted_alone() -> None:
    """At fitted spots the prediction is that of training, and anywhere it is what any others are predicted with."""
    system, data = small_triplex(), samples(columns=10)
    half = np.arange(0, N, 2)
    fitted = system.fit(data.take(half))
    read = system.network_inputs(fitted.scaling, data.inputs.take(half))
    with torch.no_grad():
        training = system.outputs(fitted.network, read.batch(np.arange(len(half)), "cpu")).numpy()
    everywhere = predict(fitted, data.inputs).mean
    assert np.allclose(everywhere[half], np.maximum(fitted.targets.decode(training), 0), atol=1e-5)
    some = np.array([1, 2, 9])
    assert np.allclose(predict(fitted, data.inputs.take(some)).mean, everywhere[some], atol=1e-5)


def test_triplex_predicts_a_section_without_spots_once_adapted_to_it() -> None:
    """Its own spots are attended to; without them the predictor refuses, and the fitted section stays as it was."""
    system, data = small_triplex(), samples(columns=10)
    fitted = system.fit(data)
    alone = predict(fitted, data.inputs).mean
    other = in_section(replace(data.inputs, features=3 - np.asarray(data.inputs.features)), 1)
    with pytest.raises(UsageError, match="none of this one are known"):
        predict(fitted, other)
    adapted = fitted.adapted_to(other)
    whole = predict(adapted, other).mean
    assert np.allclose(predict(adapted, other.take(np.arange(7))).mean, whole[:7], atol=1e-5)
    assert not np.allclose(predict(fitted.adapted_to(other.take(np.arange(7))), other).mean, whole, atol=1e-5)
    assert np.allclose(predict(adapted, data.inputs).mean, alone, atol=1e-5)


def test_triplex_predicts_bins_by_the_lattice_of_its_spots() -> None:
    """Without a lattice position a location has that of its position in µm."""
    fitted = small_triplex().fit(samples(columns=10))
    inputs = samples(columns=10).inputs
    bare = replace(inputs.locations, lattice_xy=np.full((N, 2), np.nan))
    bins = predict(fitted, replace(inputs, locations=bare)).mean
    assert np.allclose(bins, predict(fitted, inputs).mean, atol=1e-4)


def test_whole_positions_are_those_of_spots() -> None:
    """On a square lattice all whole numbers are; on Visium's every second position is none."""
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    asked = np.array([[0.6, 0.2], [1.4, -0.3], [0.2, 1.45]])
    assert whole_positions(asked, square).tolist() == [[1, 0], [1, 0], [0, 1]]
    whole = whole_positions(asked, SECTION.lattice_xy)
    assert (whole.sum(axis=1) % 2 == SECTION.lattice_xy[0].sum() % 2).all()
    assert np.abs(whole - asked).sum(axis=1).max() <= 1


def test_published_training_of_triplex_smooths_the_spots_fitted() -> None:
    """Targets are means over fitted neighbours on the lattice: a lone spot is itself, and the means are theirs."""
    from histosge.models.rivals.triplex import _smoothed

    data = samples()
    smooth = _smoothed(data)
    xy = SECTION.lattice_xy
    for row in (0, N // 2):
        near = np.abs(xy - xy[row]).max(axis=1) <= 1
        assert np.allclose(smooth[row], data.expression[near].mean(axis=0), atol=1e-5)
    far = data.take(np.array([0, N - 1]))
    assert np.array_equal(_smoothed(far), far.expression)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("bleep", {"nearest": 0}, "nearest"),
        ("bleep", {"temperature": 0.0}, "BLEEP has 1"),
        ("bleep", {"criterion": "correlation"}, "outputs embeddings"),
        ("mclstexp", {"positions": 0}, "positions"),
        ("mclstexp", {"nearest": 0}, "nearest"),
        ("deepspot", {"side": 0}, "side"),
        ("deepspot", {"dropout": 1.0}, "below 1"),
        ("triplex", {"neighbour_side": 4}, "must be odd"),
        ("triplex", {"heads": (4, 16)}, "three numbers"),
        ("triplex", {"heads": (3, 16, 16)}, "does not divide"),
        ("triplex", {"share": 2.0}, "from 0 to 1"),
    ],
)
def test_options_that_cannot_work_are_refused(name: str, options: dict[str, Any], sentence: str) -> None:
    """The sentence names the option."""
    with pytest.raises(UsageError, match=sentence):
        model(name, **options)


@pytest.mark.parametrize("name", ["mclstexp", "triplex"])
def test_spots_without_a_lattice_are_refused(name: str) -> None:
    """Tables and convolutions are over lattice positions, and the sentence says so."""
    data = samples(columns=41)
    locations = replace(data.inputs.locations, lattice_xy=np.full((N, 2), np.nan))
    with pytest.raises(UsageError, match="lattice positions"):
        model(name, epochs=1).fit(replace(data, inputs=replace(data.inputs, locations=locations)))


@pytest.mark.parametrize(("name", "windows"), [("deepspot", 16), ("triplex", 41)])
def test_features_of_another_number_of_windows_are_refused(name: str, windows: int) -> None:
    """Features that are not those of the windows are no input, and the sentence says how many there are."""
    with pytest.raises(UsageError, match=f"{windows} windows"):
        model(name, epochs=1).fit(samples(columns=6))
