"""The default method of finding domains: number, consensus, confidence, gaps, nothing to find."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from histosge.domains import Division, DomainInput, build_method, find_domains
from histosge.domains.consensus import consensus
from histosge.domains.kriged_factors import krige
from histosge.domains.mesh import mesh_of
from histosge.domains.mixture import tied_mixture
from histosge.domains.neighbours import component_sizes, edges_within
from histosge.domains.number_of_domains import Half, criterion_of
from histosge.domains.run import _agreed
from histosge.domains.shared_covariance import mixture_of
from histosge.domains.specks import without_specks
from histosge.errors import UsageError

RNG = np.random.default_rng(0)
SIDE = 18
XY = 100.0 * np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)


def tissue(zones: np.ndarray, *, strength: float = 0.5, genes: int = 60) -> DomainInput:
    """Expression of zones, with noise of variance 1."""
    rng = np.random.default_rng(1)
    levels = rng.normal(size=(zones.max() + 1, genes)) * strength
    ids = np.array([f"s{i}" for i in range(len(zones))])
    return DomainInput("tissue", ids, XY, levels[zones] + rng.normal(size=(len(zones), genes)), "made")


STRIPES = np.minimum((XY[:, 0] // 500).astype(int), 3)


def test_the_number_of_known_domains_is_chosen_without_speckle() -> None:
    """Four stripes under noise are four domains; the border is wrong at most, and there confidence is lower."""
    divided = find_domains(tissue(STRIPES), build_method("spatial_mixture", pairs=3, most=6))
    assert divided.number == 4
    assert adjusted_rand_score(STRIPES, divided.domain) > 0.9
    assert divided.criterion is not None
    assert divided.criterion.chosen == 4
    assert divided.confidence is not None
    assert 0 < divided.confidence.min() <= divided.confidence.max() <= 1
    assert "4 domains, chosen among 1 to 6" in divided.messages[-1].text


def test_noise_has_a_single_domain() -> None:
    """Where nothing is arranged in space there is one domain, and a warning says so."""
    divided = find_domains(
        tissue(np.zeros(len(XY), dtype=int)),
        build_method("spatial_mixture", pairs=3, most=6),
        seeds=(0, 1, 2),
    )
    assert divided.number == 1
    assert (divided.labels == 0).all()
    assert [message.level for message in divided.messages] == ["warning"]
    assert "agree on no division" in divided.messages[0].text


def test_domains_do_not_depend_on_the_order_of_rows() -> None:
    """Permuted locations have the same domains and confidence, exactly."""
    data, order = tissue(STRIPES), np.random.default_rng(3).permutation(len(XY))
    again = DomainInput("again", data.ids[order], data.xy_um[order], data.values[order], "made")
    first, second = (
        find_domains(part, build_method("spatial_mixture", pairs=2), clusters=4) for part in (data, again)
    )
    assert adjusted_rand_score(first.domain[order], second.domain) == 1.0
    assert first.confidence is not None
    assert second.confidence is not None
    np.testing.assert_allclose(first.confidence[order], second.confidence, atol=1e-8)


def test_a_gap_in_the_array_breaks_no_domain() -> None:
    """Stripes across three missing rows keep their domain on both sides."""
    data = tissue(STRIPES)
    kept = ~((data.xy_um[:, 1] >= 800) & (data.xy_um[:, 1] <= 1000))
    torn = DomainInput("torn", data.ids[kept], data.xy_um[kept], data.values[kept], "made")
    divided = find_domains(torn, build_method("spatial_mixture", pairs=2), clusters=4)
    assert not divided.messages
    assert adjusted_rand_score(STRIPES[kept], divided.domain) > 0.9


def test_a_smooth_field_is_recovered_across_a_gap() -> None:
    """Kriging removes noise, keeps what is not noise, and makes pure noise constant."""
    field = np.sin(XY[:, 0] / 400.0)
    columns = np.column_stack([field + 0.7 * RNG.normal(size=len(XY)), field, RNG.normal(size=len(XY))])
    kriged = krige(columns, XY, pitch_um=100.0)
    assert np.corrcoef(kriged.mean[:, 0], field)[0, 1] > 0.95 > np.corrcoef(columns[:, 0], field)[0, 1]
    assert np.abs(kriged.mean[:, 1] - field).max() < 0.15
    assert kriged.gain[2] < np.log(len(XY)) < kriged.gain[0]
    assert np.std(kriged.mean[:, 2]) < 0.5


def test_degenerate_positions_have_a_mesh() -> None:
    """Locations on a line, at one position and alone are nodes with positive mass."""
    for xy in (np.array([[0.0, 0.0]]), np.zeros((3, 2)), np.array([[0.0, 0], [1, 0], [2, 0], [1e6, 0]])):
        mesh = mesh_of(xy * 100.0, 100.0)
        assert len(mesh.node) == len(xy)
        assert (mesh.mass > 0).all()
        assert np.abs(mesh.stiffness.sum(axis=0)).max() < 1e-9


def test_the_quick_mixture_is_the_mixture() -> None:
    """Labels agree with scikit-learn's mixture of one covariance; rows of probabilities add up to 1."""
    values = RNG.normal(size=(400, 3)) * [1.0, 5.0, 1.0] + 4.0 * np.eye(3)[np.arange(400) % 2 * 2]
    fit = mixture_of(values, 2)
    assert adjusted_rand_score(tied_mixture(values, 2), fit.probability.argmax(axis=1)) > 0.98
    np.testing.assert_allclose(fit.probability.sum(axis=1), 1.0)


def test_the_criterion_prefers_what_halves_share() -> None:
    """Domains that both halves have count for a number; those of one half count against it."""
    true, rng = np.arange(300) // 100, np.random.default_rng(0)
    split = [np.where((true == 2) & (rng.random(300) < 0.5), 3, true) for _ in range(4)]
    criterion = criterion_of(
        {
            2: [Half(np.minimum(true, 1), np.minimum(true, 1))] * 2,
            3: [Half(true, true)] * 2,
            4: [Half(split[0], split[1]), Half(split[2], split[3])],
        }
    )
    assert criterion.chosen == 3
    assert criterion.balance[2] == pytest.approx(np.log2(3), abs=0.02)
    assert criterion_of({2: [Half(rng.integers(0, 2, 300), rng.integers(0, 2, 300))] * 2}).chosen == 1


def test_consensus_of_different_numbers_of_domains() -> None:
    """Divisions with more and fewer domains are matched; confidence falls where they differ."""
    parts = [np.eye(2)[[0, 0, 1, 1]], np.eye(3)[[1, 1, 0, 2]], np.eye(2)[[0, 0, 1, 1]]]
    agreed = consensus(parts)
    assert agreed.labels.tolist() == [0, 0, 1, 1]
    assert agreed.confidence[:2].min() > agreed.confidence[3]


def test_a_single_location_is_no_domain() -> None:
    """A location whose domain no neighbour has takes the most probable of its neighbours'; one without any stays."""
    row = [(0, 1), (1, 2), (2, 3), (3, 4)]
    edges = np.array([*row, *((right, left) for left, right in row), *((i, i) for i in range(6))]).T
    division = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.2, 0.3, 0.5], [0, 1, 0], [0, 1, 0], [0, 0, 1]])

    agreed = consensus([division, division], edges, least=2)

    assert agreed.labels.tolist() == [1, 1, 0, 0, 0, 2]
    np.testing.assert_allclose(agreed.confidence, [0.9, 0.9, 0.3, 1, 1, 1])
    np.testing.assert_allclose(agreed.probability, division[:, [1, 0, 2]])


def test_no_patch_is_smaller_than_the_least() -> None:
    """Patches of random domains are joined until none is too small; pieces of tissue of their own stay."""
    rng = np.random.default_rng(4)
    xy = np.concatenate([XY, XY[-1] + [[5e4, 0.0], [5e4, 100.0]]])
    labels = rng.integers(0, 4, len(xy))
    edges = edges_within(xy, 110.0)
    for least in (2, 4, 9):
        kept = without_specks(labels, np.eye(4)[labels], edges, least=least)
        same = edges[:, kept[edges[0]] == kept[edges[1]]]
        assert component_sizes(same, len(xy))[:-1].min() >= least
        assert kept[-1] == kept[-2]
        assert (kept[:-2] != labels[:-2]).any()


def test_single_locations_are_no_domains_of_several_seeds() -> None:
    """The consensus of several seeds has no speck either, though each seed alone may divide otherwise."""

    class Speckled:
        """Stripes with single locations of another domain at other places for each seed."""

        card = build_method("spatial_mixture").card
        genes = "all"

        def like(self, spots: int) -> Speckled:
            return self

        def assign(self, values: np.ndarray, xy_um: np.ndarray, **options: Any) -> np.ndarray:
            return self.divide(values, xy_um, **options).labels

        def divide(self, values: np.ndarray, xy_um: np.ndarray, *, seed: int, **_: object) -> Division:
            probability = 0.6 * np.eye(5)[STRIPES] + 0.1
            # at one place all seeds agree on a domain that no neighbour has
            inside = np.flatnonzero(np.isin(xy_um, [200.0, 700.0, 1200.0, 1600.0]).all(axis=1))
            rows = [20, *inside[np.random.default_rng(seed).random(len(inside)) < 0.7]]
            probability[rows] = np.eye(5)[4]
            return Division(probability.argmax(axis=1), probability, None)

    divided = find_domains(tissue(STRIPES), cast("Any", Speckled()), clusters=5, seeds=(0, 1, 2))
    assert divided.numbers == (5, 5, 5)
    assert divided.domain[20] == divided.domain[21]
    same = divided.domain[:, None] == divided.domain
    assert (same == (STRIPES[:, None] == STRIPES)).all()
    assert "4 domains in place of 5" in divided.messages[-1].text


def test_impossible_options_are_refused() -> None:
    """One pair of halves has no standard error; unknown shapes are refused."""
    for options in ({"pairs": 1}, {"most": 1}, {"factors": 0}, {"shape": "oval"}):
        with pytest.raises(UsageError):
            build_method("spatial_mixture", **options)


def test_specks_are_joined_alike_whatever_the_order_of_the_locations() -> None:
    """Patches of equal size, and domains that are as probable, are not decided by which row comes first."""
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.arange(0.0, 1400.0, 100.0), np.arange(0.0, 1400.0, 100.0))
    xy_um = np.stack([x.ravel(), y.ravel()], axis=1)
    probability = rng.dirichlet(np.ones(4), len(xy_um))
    agreed = []
    for order in (np.arange(len(xy_um)), rng.permutation(len(xy_um))):
        ids = order.astype(str).astype(object)
        input_ = DomainInput("tissue", ids, xy_um[order], values=probability[order], description="measured")
        part = Division(probability[order].argmax(axis=1), probability[order], None)
        agreed.append(
            _agreed(input_, build_method("spatial_mixture"), [part, part]).labels[np.argsort(order)]
        )
    assert np.array_equal(*agreed)
