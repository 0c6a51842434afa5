"""The paper's model: its size, its presets, and what each deviation means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from histosge.errors import UsageError
from histosge.models import build_model
from histosge.models.deep.histosge import HisToSGE
from histosge.models.deep.histosge_predictor import network_of
from histosge.models.deep.networks.histosge import Context, Interpolated, Tables
from histosge.models.deep.training import Course, Schedule
from histosge.models.deep.windows import windows
from histosge.models.scaling import Columns, Targets


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def published(**options: object) -> HisToSGE:
    model = build_model("histosge", "published", **options)
    assert isinstance(model, HisToSGE)
    return model


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    """With 1024 features and 1000 genes: 8 353 768, of which block, head and tables as computed from the paper."""
    network = network_of(published(), 1024, 1000)
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
    network = network_of(model, 1029, 1000)
    assert count(network.learner) == 1029 * 256 + 256 * 1029 + 1029


def test_presets_are_what_they_are_called() -> None:
    """The published preset crops 50 px and swaps red and blue; the paper's does not swap; the corrected neither."""
    crops = {name: build_model("histosge", name).needs.crop for name in ("published", "paper", "corrected")}
    assert crops["published"] is not None
    assert (crops["published"].size_px, crops["published"].channel_order) == (50, "bgr")
    assert crops["paper"] is not None
    assert (crops["paper"].size_px, crops["paper"].channel_order) == (50, "rgb")
    assert crops["corrected"] is None
    assert build_model("histosge", "corrected") == build_model("histosge")


def in_window(network: torch.nn.Module, features: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    tokens = network.tokens(features, place)
    answers: torch.Tensor = network(tokens, Context(tokens, hidden=torch.eye(len(tokens), dtype=torch.bool)))
    return answers


@pytest.fixture
def window() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """The published network, and a window of twelve spots."""
    torch.manual_seed(0)
    network = network_of(published(), 24, 7).eval()
    return network, torch.randn(12, 24), torch.randint(0, 60, (12, 2)).float()


def test_spots_of_a_window_can_change_places(
    window: tuple[torch.nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    """Permuting spots within a window permutes the answers, and nothing else."""
    network, features, place = window
    order = torch.randperm(12)
    straight, permuted = (
        in_window(network, features, place),
        in_window(network, features[order], place[order]),
    )
    assert torch.allclose(permuted, straight[order], atol=1e-5)


def test_a_spot_depends_on_its_window(window: tuple[torch.nn.Module, torch.Tensor, torch.Tensor]) -> None:
    """Another companion changes a spot's answer: why the published windows are a deviation worth correcting."""
    network, features, place = window
    other = features.clone()
    other[5] = -features[5]
    assert not torch.allclose(
        in_window(network, features, place)[0], in_window(network, other, place)[0], atol=1e-5
    )


def test_published_values_are_never_negative(
    window: tuple[torch.nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    """The network ends in a ReLU."""
    assert (in_window(*window) >= 0).all()


def test_attention_equals_that_of_pytorch() -> None:
    """Within a window attention is multi-head attention as torch computes it from the same weights."""
    torch.manual_seed(1)
    network = network_of(published(heads=3, head_width=8), 24, 5)
    attention = network.learner.attention
    tokens = torch.randn(9, 24)
    ours = attention(tokens, Context(tokens, hidden=torch.eye(9, dtype=torch.bool)))
    query, key, value = (
        part.unflatten(-1, (3, 8)).transpose(0, 1) for part in attention.project(tokens).chunk(3, -1)
    )
    theirs = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    assert torch.allclose(ours, attention.out(theirs.transpose(0, 1).flatten(1)), atol=1e-5)


def test_tables_fall_onto_whole_positions_and_interpolated_ones_do_not() -> None:
    """Half steps read the table's whole step in the published encoding, and the mean of two in the corrected one."""
    torch.manual_seed(0)
    plain, smooth = Tables(6, 16), Interpolated(6, 16)
    smooth.load_state_dict(plain.state_dict())
    whole, half = torch.tensor([[3.0, 4.0]]), torch.tensor([[3.5, 4.0]])
    assert torch.equal(plain(half), plain(whole))
    assert torch.allclose(smooth(whole), plain(whole))
    assert torch.allclose(smooth(half), (plain(whole) + plain(torch.tensor([[4.0, 4.0]]))) / 2, atol=1e-6)
    assert torch.equal(plain(torch.tensor([[-0.5, 99.0]])), plain(torch.tensor([[0.0, 15.0]])))


@pytest.mark.parametrize("order", ["file", "random", "spatial"])
@pytest.mark.parametrize("n", [2, 49, 50, 51, 237])
def test_windows_hold_every_row_once(n: int, order: str) -> None:
    """Windows are a partition; none is larger than asked, and in file order they are as equal as can be."""
    xy_um = np.random.default_rng(0).uniform(0, 1000, (n, 2))
    parts = windows(xy_um, 50, order)  # type: ignore[arg-type]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert max(map(len, parts)) <= 50
    if order == "file":
        assert np.ptp([len(part) for part in parts]) <= 1
        assert np.array_equal(np.concatenate(parts), np.arange(n))


def test_windows_of_a_dlpfc_section_are_the_published_ones() -> None:
    """1820 retained spots make 30 windows of 49 and 7 of 50, as the released code cuts section 151673."""
    sizes = [len(part) for part in windows(np.zeros((1820, 2)), 50)]
    assert (sizes.count(49), sizes.count(50)) == (30, 7)


def test_spatial_windows_are_compact() -> None:
    """Cutting by position keeps neighbours together: such windows are much smaller than those of random spots."""
    xy_um = np.random.default_rng(0).uniform(0, 1000, (400, 2))
    sd = {
        order: np.mean([xy_um[part].std(axis=0).mean() for part in windows(xy_um, 50, order)])  # type: ignore[arg-type]
        for order in ("random", "spatial")
    }
    assert sd["spatial"] < 0.5 * sd["random"]


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


def test_training_stops_after_patience_and_remembers_the_best() -> None:
    """The course ends when the validation loss has not improved for as long as asked."""
    schedule = Schedule(epochs=100, learning_rate=0.1, patience=3, weight_decay=0.0)
    course = Course()
    for loss in (3.0, 2.0, 1.0, 1.5, 1.4, 1.3):
        assert not course.is_over(schedule)
        course = course.after(0.0, loss, keep_best=True)
    assert course.is_over(schedule)
    assert course.best_epoch == 3


def test_the_rate_falls_to_nothing_or_stays() -> None:
    """Cosine decay starts at the rate given and ends near zero; constant stays."""
    cosine = Schedule(epochs=10, learning_rate=0.2, decay="cosine")
    assert cosine.rate(0) == 0.2
    assert cosine.rate(9) < 0.01
    assert Schedule(epochs=10, learning_rate=0.2).rate(9) == 0.2


def test_tables_need_an_array() -> None:
    """Cells have no array position; the published encoding says so instead of inventing one."""
    from dataclasses import replace

    from histosge.datasets import synthetic
    from histosge.models.deep.histosge_inputs import Reading
    from histosge.section.inputs import Inputs
    from histosge.section.locations import at_spots

    places = at_spots(synthetic(columns=6, rows=6, genes=6).section)
    lost = replace(places, lattice_xy=np.full((len(places), 2), np.nan))
    with pytest.raises(UsageError, match="preset corrected"):
        Reading.of(published(), Inputs(lost, features=np.zeros((len(places), 4), dtype=np.float32)))
