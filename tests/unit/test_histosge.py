"""HisToSGE: its published size, its presets, and what each deviation means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.models import build_model, predict
from histosge.models.deep.histosge import HisToSGE
from histosge.models.deep.inputs import Batch, InputScaling
from histosge.models.deep.networks.histosge import Context, Interpolated, Tables
from histosge.models.scaling import Columns, Targets
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def published(**options: object) -> HisToSGE:
    model = build_model("histosge", "published", **options)
    assert isinstance(model, HisToSGE)
    return model


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    """With 1024 features and 1000 genes: 8 353 768, of which block, head and tables as computed from the paper."""
    network = published().build_network(1024, 1000)
    assert count(network.learner) == 3_152_896
    assert count(network.head) == 4_152_296
    assert count(network.position) == 1_048_576
    assert count(network) == 8_353_768


def test_the_paper_network_takes_1029_columns() -> None:
    """Features, position and colour; 1029 is not divisible by 4 heads, hence heads of their own width."""
    model = build_model("histosge", "paper")
    assert isinstance(model, HisToSGE)
    assert model.needs.features
    assert model.needs.colour
    assert model.join_position
    network = model.build_network(1029, 1000)
    # three projections: W^Q, W^K and W^V of Eq. (4)
    assert count(network.learner) == 3 * 1029 * 256 + 256 * 1029 + 1029


def test_presets_are_what_they_are_called() -> None:
    """The published preset crops 50 px and swaps red and blue; the paper's does not swap; the corrected neither."""
    crops = {name: build_model("histosge", name).needs.crop for name in ("published", "paper", "corrected")}
    assert crops["published"] is not None
    assert (crops["published"].size_px, crops["published"].channel_order) == (50, "bgr")
    assert crops["paper"] is not None
    assert (crops["paper"].size_px, crops["paper"].channel_order) == (50, "rgb")
    assert crops["corrected"] is None
    assert build_model("histosge", "corrected") == build_model("histosge")


def in_window(network: torch.nn.Module, features: torch.Tensor, lattice_xy: torch.Tensor) -> torch.Tensor:
    outputs: torch.Tensor = network(Batch(lattice_xy, lattice_xy, features))
    return outputs


@pytest.fixture
def window() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """The published network, and a window of twelve spots."""
    torch.manual_seed(0)
    network = published().build_network(24, 7).eval()
    return network, torch.randn(12, 24), torch.randint(0, 60, (12, 2)).float()


def test_a_permutation_of_a_window_permutes_its_predictions(
    window: tuple[torch.nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    """The network has no order of spots: permuted spots get their own predictions, permuted."""
    network, features, lattice_xy = window
    order = torch.randperm(12)
    straight, permuted = (
        in_window(network, features, lattice_xy),
        in_window(network, features[order], lattice_xy[order]),
    )
    assert torch.allclose(permuted, straight[order], atol=1e-5)


def test_a_spot_depends_on_its_window(window: tuple[torch.nn.Module, torch.Tensor, torch.Tensor]) -> None:
    """Other features of one spot change the predictions of the others: why published windows are corrected."""
    network, features, lattice_xy = window
    other = features.clone()
    other[5] = -features[5]
    assert not torch.allclose(
        in_window(network, features, lattice_xy)[0], in_window(network, other, lattice_xy)[0], atol=1e-5
    )


def test_published_values_are_never_negative(
    window: tuple[torch.nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    """The network ends in a ReLU."""
    assert (in_window(*window) >= 0).all()


def test_attention_equals_that_of_pytorch() -> None:
    """Within a window attention is multi-head attention as torch computes it from the same weights."""
    torch.manual_seed(1)
    network = published(heads=3, head_width=8).build_network(24, 5)
    attention = network.learner.attention
    tokens = torch.randn(9, 24)
    ours = attention(tokens, Context(tokens, hidden=torch.eye(9, dtype=torch.bool)))
    query, key, value = (
        part.unflatten(-1, (3, 8)).transpose(0, 1) for part in attention.project(tokens).chunk(3, -1)
    )
    theirs = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    assert torch.allclose(ours, attention.out(theirs.transpose(0, 1).flatten(1)), atol=1e-5)


def at(encoding: torch.nn.Module, lattice_xy: torch.Tensor) -> torch.Tensor:
    encoded: torch.Tensor = encoding(Batch(lattice_xy, lattice_xy))
    return encoded


def test_tables_have_entries_for_whole_positions_and_interpolation_between_them() -> None:
    """At half steps the published encoding reads the entry of the whole step, the interpolated one a mean of two."""
    torch.manual_seed(0)
    plain, smooth = Tables(6, 16), Interpolated(6, 16)
    smooth.load_state_dict(plain.state_dict())
    whole, half = torch.tensor([[3.0, 4.0]]), torch.tensor([[3.5, 4.0]])
    assert torch.equal(at(plain, half), at(plain, whole))
    assert torch.allclose(at(smooth, whole), at(plain, whole))
    next_whole = at(plain, torch.tensor([[4.0, 4.0]]))
    assert torch.allclose(at(smooth, half), (at(plain, whole) + next_whole) / 2, atol=1e-6)
    assert torch.equal(at(plain, torch.tensor([[-0.5, 99.0]])), at(plain, torch.tensor([[0.0, 15.0]])))


def test_targets_and_back() -> None:
    """Encoding and decoding return the expression: exactly with all factors, as the best approximation with few."""
    expression = np.random.default_rng(0).gamma(2.0, 1.0, (40, 9))
    for kind in ("raw", "centred", "standardised"):
        targets = Targets.of(expression, kind)  # type: ignore[arg-type]
        assert np.allclose(targets.decode(targets.encode(expression)), expression, atol=1e-4)
    few = Targets.of(expression, "standardised", 3)
    assert few.width == 3
    standard = (expression - expression.mean(0)) / expression.std(0)
    left, power, right = np.linalg.svd(standard, full_matrices=False)
    best = left[:, :3] * power[:3] @ right[:3] * expression.std(0) + expression.mean(0)
    assert np.allclose(few.decode(few.encode(expression)), best, atol=1e-3)


def test_columns_that_do_not_vary_stay_finite() -> None:
    """A constant feature is centred, not divided by nothing; far ones are cut at six deviations."""
    values = np.random.default_rng(0).normal(size=(30, 3))
    values[:, 1] = 5.0
    columns = Columns.of(values)
    assert np.allclose(columns.apply(values)[:, 1], 0)
    assert columns.apply(values[:1] + 1e6).max() == 6.0


def test_tables_need_lattice_positions() -> None:
    """Cells have no lattice position; the published encoding refuses them and names the options that work."""
    spots = at_spots(synthetic(columns=6, rows=6, genes=6).section)
    cells = replace(spots, lattice_xy=np.full((len(spots), 2), np.nan))
    inputs = Inputs(cells, features=np.zeros((len(cells), 4), dtype=np.float32))
    scaling = InputScaling.of(inputs, published().needs, standardise=False, join_position=False)
    with pytest.raises(UsageError, match="preset corrected"):
        published().network_inputs(scaling, inputs)


POSITIONS_OFF = {"position": "none", "context": "windows", "distance_bias": False}


@pytest.mark.parametrize(
    ("options", "uses_position"),
    [
        (POSITIONS_OFF, False),
        (POSITIONS_OFF | {"window_order": "random"}, False),
        (POSITIONS_OFF | {"position": "fourier"}, True),
        (POSITIONS_OFF | {"distance_bias": True}, True),
        (POSITIONS_OFF | {"join_position": True}, True),
        (POSITIONS_OFF | {"window_order": "spatial"}, True),
        (POSITIONS_OFF | {"context": "neighbours", "neighbours": 4}, True),
    ],
)
def test_predictions_depend_on_position_where_the_configuration_says_so(
    options: dict[str, object], uses_position: bool
) -> None:
    """Moved locations change the predictions of a configuration that uses position, and of no other."""
    section = synthetic(columns=6, rows=6, genes=6).section
    spots = at_spots(section)
    rng = np.random.default_rng(0)
    inputs = Inputs(spots, features=rng.normal(size=(len(spots), 4)).astype(np.float32))
    samples = Samples(inputs, rng.random((len(spots), 3)), np.array(list("abc")), np.ones(len(spots)))
    model = build_model("histosge", epochs=2, window_size=8, **options)
    predictor = model.fit(samples)
    points = replace(spots.points, xy=spots.xy[rng.permutation(len(spots))])
    moved = replace(inputs, locations=replace(spots, points=points))
    same = np.allclose(predict(predictor, moved).mean, predict(predictor, inputs).mean)
    assert model.uses_image
    assert model.uses_position is uses_position
    assert same is not uses_position
