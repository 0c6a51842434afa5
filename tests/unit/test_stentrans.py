"""stEnTrans: sizes, training pairs and lattices as described; what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.models import build_model, predict, saving
from histosge.models.deep.gene_maps import HalvedMaps, ThinnedMaps, doubled, in_quarters
from histosge.models.deep.lattice_array import LatticeArray, between
from histosge.models.deep.networks.stentrans import StEnTransNetwork, _position_code
from histosge.section.inputs import Inputs, Samples, in_section
from histosge.section.locations import Locations

SMALL: dict[str, Any] = {"epochs": 2, "depth": 1, "patch": 2, "heads": 2}


def square(side: int = 8) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    return np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float)


def visium(side: int = 8) -> np.ndarray:
    xy = square(side)
    return np.stack([2 * xy[:, 0] + xy[:, 1] % 2, xy[:, 1]], axis=1)


def samples(lattice_xy: np.ndarray, genes: int = 6, seed: int = 0) -> Samples:
    n = len(lattice_xy)
    points = Points(100 * lattice_xy, np.arange(n).astype(str), 55.0)
    whole = np.ones(n, dtype=bool)
    locations = Locations(
        points, lattice_xy, np.arange(n), subspot=np.zeros(n, int), observed=whole, in_tissue=whole
    )
    expression = np.random.default_rng(seed).gamma(2.0, size=(n, genes))
    return Samples(Inputs(locations), expression, np.arange(genes).astype(str), np.ones(n))


def fitted(data: Samples, **options: Any) -> Any:
    return build_model("stentrans", **(SMALL | options)).fit(data, seed=1)


def test_networks_have_their_published_size() -> None:
    """Patches of 3 have 129 528 parameters, patches of 8 have 6 341 888."""
    with torch.device("meta"):
        sizes = [
            sum(value.numel() for value in StEnTransNetwork(*sides).parameters())
            for sides in ((3, 4), (8, 8))
        ]
    assert sizes == [129_528, 6_341_888]


def test_values_of_a_patch_stand_at_their_positions() -> None:
    """Without blocks, an identity embedding returns each value of the map at its four positions."""
    network = StEnTransNetwork(2, 2, depth=0).eval()
    with torch.no_grad():
        network.embed.weight.zero_()
        network.embed.bias.zero_()
        for phase in range(4):
            for at in range(4):
                network.embed.weight[4 * phase + at, 0, at // 2, at % 2] = 1 + phase
    code = network(torch.zeros(1, 1, 5, 7)).detach()
    maps = torch.arange(35.0).reshape(1, 1, 5, 7)
    whole = doubled(network(maps) - code).detach()[0, 0]
    assert whole.shape == (10, 14)
    for phase in range(4):
        assert torch.allclose(whole[phase // 2 :: 2, phase % 2 :: 2], maps[0, 0] * (1 + phase), atol=1e-4)


@pytest.mark.parametrize(("columns", "tokens"), [(7, (4, 4)), (8, (5, 4))])
def test_a_map_that_patches_divide_gets_one_more_as_published(columns: int, tokens: tuple[int, int]) -> None:
    """Of 8 columns patches of 2 are 5 with the extra one and 4 without; of 7 they are 4 in both cases."""
    for extra, number in zip((True, False), tokens, strict=True):
        network = StEnTransNetwork(2, 2, depth=0, extra_patch=extra)
        shapes: list[torch.Size] = []
        network.embed.register_forward_hook(lambda *call, seen=shapes: seen.append(call[2].shape))
        assert network(torch.zeros(1, 1, 5, columns)).shape == (1, 4, 5, columns)
        assert shapes[0][2:] == (3, number)


@pytest.mark.parametrize(("channels", "phases"), [(1, 4), (2, 1)])
def test_a_residual_is_the_change_from_the_map(channels: int, phases: int) -> None:
    """With the same weights, the outputs stand on the value that the map has at each position."""
    options: dict[str, Any] = {"channels": channels, "phases": phases, "depth": 1}
    usual, residual = (StEnTransNetwork(2, 2, **options, residual=on).eval() for on in (False, True))
    residual.load_state_dict(usual.state_dict())
    maps = torch.rand(3, channels, 5, 7)
    with torch.no_grad():
        assert torch.allclose(residual(maps) - usual(maps), maps[:, :1].expand(3, phases, 5, 7), atol=1e-6)


def test_the_doubled_exponent_is_that_of_every_second_rate() -> None:
    """Rates are 10 000^(−2i/D); doubled, pair i has the rate of pair 2i."""
    usual = _position_code(9, 16, 1.0, torch.device("cpu")).unflatten(1, (8, 2))
    assert torch.allclose(usual[:, 3, 0], torch.sin(torch.arange(9.0) * 10_000 ** (-6 / 16)))
    doubled_code = _position_code(9, 16, 2.0, torch.device("cpu")).unflatten(1, (8, 2))
    assert torch.allclose(doubled_code[:, :4], usual[:, ::2], atol=1e-6)
    assert not torch.allclose(doubled_code[:, 1], usual[:, 1], atol=1e-3)


@pytest.mark.parametrize("option", ["extra_patch", "residual", "doubled_exponent"])
def test_faults_of_the_code_are_options(option: str, tmp_path: Path) -> None:
    """Each changes the prediction, also after the fit came back from disk; the presets leave them as they were."""
    data, usual = samples(square()), fitted(samples(square()), form="doubled")
    model = build_model("stentrans", **SMALL, form="doubled", **{option: option != "extra_patch"})
    predictor = model.fit(data, seed=1)
    expected = predict(predictor, data.inputs).mean
    assert not np.allclose(expected, predict(usual, data.inputs).mean, atol=1e-4)
    saving.save(tmp_path / "fit", model, predictor)
    assert np.allclose(predict(saving.load(tmp_path / "fit")[1], data.inputs).mean, expected, atol=1e-5)
    for preset in (None, "published"):
        assert getattr(build_model("stentrans", preset), option) is (option == "extra_patch")


def test_training_pairs_follow_the_map() -> None:
    """Maps moved by two rows and columns give pairs moved by one and by two."""
    maps = torch.rand(3, 10, 12)
    network = torch.nn.Identity()
    pairs = ThinnedMaps(network, maps, torch.ones(10, 12), 3).pairs(np.arange(3))
    moved = ThinnedMaps(network, maps.roll((2, 2), (1, 2)), torch.ones(10, 12), 3).pairs(np.arange(3))
    assert torch.equal(moved[0], pairs[0].roll((1, 1), (2, 3)))
    assert torch.equal(moved[1], pairs[1].roll((2, 2), (2, 3)))
    assert not torch.equal(moved[0], pairs[0])


def test_gaps_are_trained_at_measured_spots_only() -> None:
    """What is predicted where there is no spot does not change the loss; what is predicted at a spot does."""

    class Constant(torch.nn.Module):
        patch = 1

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            output = torch.zeros_like(seen[:, :1])
            output[:, :, self.row] = 7.0
            return output

    measured = torch.ones(4, 4)
    measured[0] = 0
    losses = [
        float(HalvedMaps(Constant(row), torch.zeros(2, 4, 4), measured, 2).loss(np.arange(2)))
        for row in (0, 1)
    ]
    assert losses == [0.0, pytest.approx(49 * 4 / 12)]


@pytest.mark.parametrize("shape", [(8, 6), (7, 5)])
def test_a_quarter_is_predicted_as_a_map_by_itself(shape: tuple[int, int]) -> None:
    """Quarters are as wide as a thinned map, and none sees another; all of the map at once is another prediction."""
    torch.manual_seed(0)
    network = StEnTransNetwork(2, 2, depth=1).eval()
    maps = torch.rand(2, 1, *shape)
    with torch.no_grad():
        whole, quarters = network(maps), in_quarters(network, maps)
        first = network(maps[..., :4, :3])
    shown, *_ = ThinnedMaps(network, maps[:, 0], torch.ones(shape), 2).pairs(np.arange(2))
    assert shown.shape[-2:] == (4, 3)
    assert quarters.shape == whole.shape == (2, 4, *shape)
    assert torch.allclose(quarters[..., :4, :3], first, atol=1e-6)
    assert not torch.allclose(quarters, whole, atol=1e-2)


@pytest.mark.parametrize(("kind", "channels", "phases"), [(ThinnedMaps, 1, 4), (HalvedMaps, 2, 1)])
def test_a_step_in_parts_is_the_whole_step(kind: Any, channels: int, phases: int) -> None:
    """The terms of the loss, differentiated one after the other, have the loss and gradient of all genes together."""
    torch.manual_seed(0)
    network = StEnTransNetwork(2, 2, channels=channels, phases=phases, depth=1)
    maps, spots = torch.rand(5, 9, 7), (torch.rand(9, 7) < 0.8).float()
    task = kind(network, maps, spots, 5, 2)
    results = []
    for terms in (task.losses, lambda genes: [task.loss(genes)]):
        network.zero_grad()
        torch.manual_seed(1)
        losses = []
        for term in terms(np.arange(5)):
            term.backward()
            losses.append(float(term.detach()))
        results.append((len(losses), sum(losses), [value.grad.clone() for value in network.parameters()]))
    (parts, loss, gradient), (one, whole_loss, whole_gradient) = results
    assert (parts, one) == (3, 1)
    assert loss == pytest.approx(whole_loss, rel=1e-5)
    for first, second in zip(gradient, whole_gradient, strict=True):
        assert torch.allclose(first, second, atol=1e-6)


@pytest.mark.parametrize(
    ("lattice_xy", "hexagonal"), [(square(), False), (visium(), True)], ids=["square", "visium"]
)
def test_a_lattice_is_an_array(lattice_xy: np.ndarray, hexagonal: bool) -> None:
    """All spots fill an array of 8 × 8; of one in four, 4 × 4; the others lie halfway between these."""
    array = LatticeArray.of(lattice_xy + 5, coarse=True)
    assert (array.shape, array.hexagonal, array.is_coarse) == ((8, 8), hexagonal, False)
    values = np.arange(64.0)[:, None]
    maps, measured = array.maps(lattice_xy + 5, values)
    assert measured.all()
    assert np.allclose(between(maps, array.positions(lattice_xy + 5)), values)
    kept = lattice_xy[_every_fourth(lattice_xy, hexagonal)]
    coarse = LatticeArray.of(kept, coarse=True)
    assert (coarse.hexagonal, coarse.is_coarse) == (hexagonal, True)
    assert np.allclose(2 * coarse.positions(lattice_xy) % 1, 0)
    again = LatticeArray.from_numbers(coarse.numbers)
    assert np.array_equal(again.positions(lattice_xy), coarse.positions(lattice_xy))


def _every_fourth(lattice_xy: np.ndarray, hexagonal: bool) -> np.ndarray:
    x, y = lattice_xy.astype(int).T
    a = (x - y) // 2 if hexagonal else x
    return (a % 2 == 0) & (y % 2 == 0)


@pytest.mark.parametrize("lattice_xy", [square(), visium()], ids=["square", "visium"])
def test_a_sublattice_is_doubled_and_gaps_are_filled(lattice_xy: np.ndarray) -> None:
    """One of four spots trains the published network, random ones that with gaps; the order of rows has no effect."""
    data = samples(lattice_xy)
    coarse = data.take(_every_fourth(lattice_xy, lattice_xy[:, 0].max() > 8))
    gaps = data.take(np.random.default_rng(0).permutation(64)[:32])
    for part, filled in ((coarse, False), (gaps, True)):
        predictor = fitted(part)
        assert predictor.summary()["filled"] is filled
        predicted = predict(predictor, data.inputs).mean
        assert (predicted >= 0).all()
        assert predicted.std() > 0
        turned = predict(fitted(part.take(np.arange(len(part))[::-1])), data.inputs).mean
        assert np.allclose(turned, predicted, atol=1e-5)


def test_splits_that_do_not_suit() -> None:
    """New sections are left out, and by the published form also test spots among those fitted."""
    auto, published = build_model("stentrans"), build_model("stentrans", "published")
    assert not auto.reason_against("finer")
    assert "new section" in auto.reason_against("new_section")
    assert not auto.reason_against("test_spots")
    assert not published.reason_against("sublattice")
    assert "gaps" in published.reason_against("test_spots")


@pytest.mark.parametrize("lattice_xy", [square(), visium()])
def test_bins_are_predicted_at_their_place_on_the_lattice(lattice_xy: np.ndarray, tmp_path: Path) -> None:
    """Without lattice positions, those follow from µm, also after the fit came back from disk."""
    data = samples(lattice_xy)
    turned = lattice_xy @ np.array([[0.8, 0.6], [-0.6, 0.8]]) * 100 + 7
    points = replace(data.inputs.locations.points, xy=turned)
    inputs = replace(data.inputs, locations=replace(data.inputs.locations, points=points))
    model = build_model("stentrans", **SMALL, form="doubled")
    predictor = model.fit(replace(data, inputs=inputs))
    bare = replace(inputs.locations, lattice_xy=np.full((64, 2), np.nan))
    bins = replace(inputs, locations=bare)
    expected = predict(predictor, inputs).mean
    assert np.allclose(predict(predictor, bins).mean, expected, atol=1e-4)
    saving.save(tmp_path / "fit", model, predictor)
    assert np.allclose(predict(saving.load(tmp_path / "fit")[1], bins).mean, expected, atol=1e-4)


def test_what_cannot_be_interpolated_is_refused() -> None:
    """Spots between lattice positions or without any, two at one, several sections; sizes that do not fit."""
    data = samples(square())
    predictor = fitted(data)
    with pytest.raises(UsageError, match="within one section"):
        predict(predictor, in_section(data.inputs, 1))
    with pytest.raises(UsageError, match="between them"):
        fitted(samples(square() + np.linspace(0, 1, 64)[:, None]))
    with pytest.raises(UsageError, match="same column and row"):
        fitted(samples(np.concatenate([square(), square()[:1]])))
    nowhere = replace(data.inputs.locations, lattice_xy=np.full((64, 2), np.nan))
    with pytest.raises(UsageError, match="lattice positions"):
        fitted(replace(data, inputs=replace(data.inputs, locations=nowhere)))
    for options in ({"heads": 5}, {"heads": None}, {"validation": 0.2}):
        with pytest.raises(UsageError, match=r"`heads`|`validation`"):
            build_model("stentrans", **(SMALL | options))
