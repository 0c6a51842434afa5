"""iStar: superpixels, sizes and sums as described; what is refused."""

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
from histosge.models.deep.networks.istar import perceptron
from histosge.section.inputs import Inputs, Samples, concatenated, in_section
from histosge.section.locations import at_spots
from histosge.workflow.encode import encode, encoder_for

SECTION = hs.synthetic(columns=8, rows=8, genes=12).section
N = len(SECTION)
WIDTH = 4
SMALL: dict[str, Any] = {"superpixels": 2.0, "components": 3, "factors": 2, "epochs": 1}


def model(preset: str | None = None, **options: Any) -> Any:
    return build_model("istar", preset, **options)


def samples(superpixels: int = 5) -> Samples:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N, (superpixels + 1) * WIDTH)).astype(np.float32)
    inputs = Inputs(at_spots(SECTION), features=features, colour=rng.random((N, 3)))
    return Samples(inputs, rng.gamma(2.0, size=(N, 6)), np.array(list("ABCDEF")), np.ones(N))


def test_the_perceptron_has_its_published_size() -> None:
    """From 579 features to 1000 genes it has 602 856 parameters; of other encoders as many as described."""
    with torch.device("meta"):
        sizes = [
            sum(value.numel() for value in perceptron(inputs, 1000, positive=True).parameters())
            for inputs in (579, 2051, 303)
        ]
    assert sizes == [602_856, 979_688, 532_200]


def test_outputs_are_positive_and_flat_below() -> None:
    """ELU with α = 0.01 and 0.01 more: 0 at −∞, 0.01 at 0, x + 0.01 above."""
    unit = perceptron(2, 3, positive=True)[-1]
    values = unit(torch.tensor([-50.0, 0.0, 2.0]))
    assert torch.allclose(values, torch.tensor([0.0, 0.01, 2.01]), atol=1e-6)


def test_a_spot_has_its_superpixels() -> None:
    """A Visium spot has the 37 of 8 µm whose centres lie within 27.5 µm; of 16 µm it has 9."""
    offsets = 55 * np.array(model("published").offsets)
    assert len(offsets) == 37
    assert np.allclose(offsets / 8, np.rint(offsets / 8))
    assert np.hypot(*offsets.T).max() <= 27.5
    assert len(model().offsets) == 9
    fine, context = model("published").needs.windows
    # windows of 32 and 128 µm
    assert (fine.share * 55, context.share * 55) == (pytest.approx(32), pytest.approx(128))
    assert np.allclose(fine.offsets_um(55.0, 100.0), offsets)


def test_a_spot_is_the_sum_of_counts_of_its_superpixels() -> None:
    """The mean of the outputs, scaled back, is the sum of y · (max − min) / k + min / k over k superpixels."""
    system = model("published", replicas=1)
    number = len(system.offsets)
    expression = np.random.default_rng(0).gamma(2.0, size=(N, 6))
    targets = system.targets_of(expression)
    encoded = targets.encode(expression)
    assert (encoded.min(axis=0) == 0).all()
    assert np.allclose(encoded.max(axis=0), 1)
    network = system.build_network((number + 1) * WIDTH + 4, 6).eval()
    vectors = torch.randn(3, (number + 1) * WIDTH + 4)
    vectors[:, -1] = 1.0
    cells, support = network._superpixels(vectors)
    outputs = network.replicas[0](cells).detach().numpy()
    assert support.all()
    low, span = expression.min(axis=0), np.ptp(expression, axis=0)
    whole = targets.decode(network(Batch(vectors[:, :2], vectors[:, :2], vectors)).detach().numpy())
    assert np.allclose((outputs * span / number + low / number).sum(axis=1), whole, rtol=1e-4)


def test_smaller_locations_have_fewer_superpixels() -> None:
    """A bin no wider than a superpixel is predicted from the one at its centre, a spot from all."""
    system = model(**SMALL)
    data = samples()
    predictor = system.fit(data)
    centre = system.offsets.index((0.0, 0.0))
    features = np.array(data.inputs.features)
    kept = slice(centre * WIDTH, (centre + 1) * WIDTH)
    other = np.random.default_rng(1).normal(size=features.shape).astype(np.float32)
    other[:, kept], other[:, 5 * WIDTH :] = features[:, kept], features[:, 5 * WIDTH :]
    for diameter, same in ((0.0, True), (10.0, True), (SECTION.spots.diameter_um, False)):
        locations = data.inputs.locations
        inputs = replace(
            data.inputs, locations=replace(locations, points=replace(locations.points, diameter_um=diameter))
        )
        changed = replace(inputs, features=other)
        assert (
            np.allclose(predict(predictor, changed).mean, predict(predictor, inputs).mean, atol=1e-5) is same
        )


def test_the_edge_of_the_image_can_be_blank_as_published() -> None:
    """With the option, features of windows in the last 128 µm at the bottom and on the right are 0; presets lack it."""
    assert SECTION.slide is not None
    begin = (np.ceil(np.array(SECTION.slide.size_um) / 128) - 1) * 128
    # spots moved so that the last of them lie within the strip
    where = at_spots(SECTION)
    xy_um = where.xy + begin + 70 - where.xy.max(axis=0)
    where = replace(where, points=replace(where.points, xy=xy_um))
    usual, blank = (
        encode(SECTION, where, needs=needs, encoder=encoder_for(SECTION, recipe, needs=needs))
        for recipe in (hs.Recipe("istar"), hs.Recipe("istar", options={"blank_edge": True}))
        for needs in (recipe.build().needs,)
    )
    # the context is the widest window: half of it reaches 64 µm at spots of 55 µm
    beyond = (xy_um - 64 >= begin).any(axis=1)
    before = (xy_um + 64 <= begin).all(axis=1)
    assert min(beyond.sum(), before.sum()) > 0
    values = np.asarray(blank.features[:])
    assert (values[beyond] == 0).all()
    assert np.array_equal(values[before], np.asarray(usual.features[:])[before])
    assert np.array_equal(blank.colour, usual.colour)
    assert not any(model(preset).blank_edge for preset in (None, *type(model()).presets))


def test_five_networks_predict_their_median() -> None:
    """Of each superpixel the median over the networks is taken, and then the mean over superpixels."""
    system = model(**SMALL | {"replicas": 5})
    network = system.build_network(6 * WIDTH + 4, 2).eval()
    vectors = torch.randn(7, 6 * WIDTH + 4)
    vectors[:, -1] = 1.0
    cells, _ = network._superpixels(vectors)
    every = torch.stack([replica(cells) for replica in network.replicas])
    assert torch.allclose(
        network(Batch(vectors, vectors, vectors)), every.median(dim=0).values.mean(dim=1), atol=1e-6
    )
    assert not torch.allclose(every[0], every[1])


def test_averaging_features_is_another_model() -> None:
    """The preset ``spot`` does not see which superpixel has which features; both ignore the order of superpixels."""
    vectors = torch.randn(7, 6 * WIDTH + 4)
    vectors[:, -1] = 1.0
    swapped = vectors.clone()
    # of two superpixels, half of the features are exchanged
    swapped[:, : WIDTH // 2], swapped[:, WIDTH : WIDTH + WIDTH // 2] = (
        vectors[:, WIDTH : WIDTH + WIDTH // 2],
        vectors[:, : WIDTH // 2],
    )
    for preset, same in (("spot", True), (None, False)):
        network = model(preset, **SMALL).build_network(6 * WIDTH + 4, 2).eval()
        first, second = (network(Batch(part, part, part)) for part in (vectors, swapped))
        assert torch.allclose(first, second, atol=1e-5) is same


def test_a_fit_does_not_depend_on_the_order_of_spots() -> None:
    """Spots in another order give the same predictions."""
    data = samples()
    turned = data.take(np.random.default_rng(3).permutation(N))
    system = model(**SMALL)
    predicted = [predict(system.fit(part, seed=2), data.inputs).mean for part in (data, turned)]
    assert np.array_equal(*predicted)


def test_a_section_without_spots_is_predicted_from_its_image() -> None:
    """Fitted to two sections, a third gets predictions that its positions do not change, and its features do."""
    data = samples()
    both = Samples(
        concatenated([data.inputs, data.inputs]),
        np.concatenate([data.expression, data.expression]),
        data.genes,
        np.ones(2 * N),
    )
    predictor = model(**SMALL).fit(both)
    third = in_section(data.inputs, 2)
    usual = predict(predictor, third).mean
    points = third.locations.points
    moved = replace(third.locations, points=replace(points, xy=points.xy[::-1] + 1e4))
    assert np.array_equal(predict(predictor, replace(third, locations=moved)).mean, usual)
    other = replace(third, features=np.asarray(third.features)[::-1].copy(), colour=None)
    assert usual.std(axis=0).min() > 0
    turned = replace(other, colour=np.asarray(third.colour)[::-1].copy())
    assert np.allclose(predict(predictor, turned).mean, usual[::-1], atol=1e-5)


def test_other_windows_and_sizes_are_refused() -> None:
    """Features that are not those of the windows, and sizes that are not positive."""
    with pytest.raises(UsageError, match="6 windows"):
        model(**SMALL).fit(replace(samples(), inputs=replace(samples().inputs, features=np.ones((N, 13)))))
    for options in ({"superpixels": 0.5}, {"replicas": 0}, {"factors": 0}, {"components": 0}):
        with pytest.raises(UsageError, match=next(iter(options))):
            model(**options)
    assert math.isclose(model().superpixels * 2, model("published").superpixels)
