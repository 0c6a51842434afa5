"""Counts shared out among places add up to what was measured, whatever the partition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from histosge import Points, Prediction, Section, conserve, upsampled
from histosge.datasets import synthetic
from histosge.errors import DataError, UsageError
from histosge.geometry.platforms import SYNTHETIC
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.expression import TARGET_SUM
from histosge.section.locations import Locations

KINDS = ("real", "rounded", "drawn")


def section_of(counts: np.ndarray) -> Section:
    s, g = counts.shape
    names = np.array([f"G{i}" for i in range(g)])
    xy = np.column_stack([np.arange(s) * 100.0, np.zeros(s)])
    points = Points(xy, np.array([f"S{i}" for i in range(s)]), 55.0)
    return Section(
        "s", sparse.csr_matrix(counts.astype(float)), names, names, points, xy, None, SYNTHETIC, 0.5
    )


def places_of(parent: np.ndarray) -> Locations:
    n = len(parent)
    xy = np.column_stack([np.arange(n) * 7.0, np.ones(n)])
    nothing = np.zeros(n, dtype=bool)
    points = Points(xy, np.array([f"P{i:05d}" for i in range(n)]))
    return Locations(points, xy, parent.astype(np.intp), np.full(n, -1), nothing, ~nothing)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Section, Prediction, int]:
    """Any partition of any spots: lonely ones, crowded ones, in any order; any counts; any predictions, zeros too."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    s, g = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    scale = draw(st.sampled_from([0.3, 2.0, 50.0, 1e5]))
    counts = rng.poisson(scale * rng.gamma(0.5, 1.0, (s, g)))
    parent = rng.permutation(np.concatenate([np.arange(s), rng.integers(0, s, draw(st.integers(0, 40)))]))
    mean = rng.gamma(1.0, 1.0, (len(parent), g)).astype(np.float32)
    mean[rng.random(mean.shape) < draw(st.sampled_from([0.0, 0.5, 0.95]))] = 0.0
    if draw(st.booleans()):
        # ties
        mean = np.round(mean)
    section = section_of(counts)
    return section, Prediction(places_of(parent), section.genes, mean), draw(st.integers(0, 100))


def added_up(values: sparse.csr_matrix, parent: np.ndarray, s: int) -> np.ndarray:
    """Sum over each spot's places, exactly for whole numbers."""
    sums = np.zeros((s, values.shape[1]), dtype=values.dtype)
    np.add.at(sums, parent, values.toarray())
    return sums


@given(case=cases(), kind=st.sampled_from(KINDS))
@settings(max_examples=150, deadline=None)
def test_places_add_up_to_their_spot(case: tuple[Section, Prediction, int], kind: str) -> None:
    """Never negative; whole counts exactly, fractions to 1e-9; what is predicted to be nowhere stays nowhere."""
    section, prediction, seed = case
    shared = conserve(prediction, section, kind=kind, seed=seed)
    counts = section.counts.toarray()
    sums = added_up(shared, prediction.locations.parent, len(section))
    assert shared.shape == prediction.mean.shape
    assert shared.nnz == 0 or shared.data.min() > 0
    if kind == "real":
        assert np.allclose(sums, counts, rtol=1e-9, atol=0)
    else:
        assert shared.dtype == np.int64
        assert np.array_equal(sums, counts.astype(np.int64))
    rates = np.expm1(prediction.mean.astype(float))
    total = np.zeros_like(counts)
    np.add.at(total, prediction.locations.parent, rates)
    somewhere = total[prediction.locations.parent] > 0
    assert not shared.toarray()[(prediction.mean == 0) & somewhere].any()


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_shares_are_in_proportion_to_rates(case: tuple[Section, Prediction, int]) -> None:
    """Fractions are count × rate / sum of rates, rates at most TARGET_SUM; rounded ones differ by less than 1."""
    section, prediction, _ = case
    parent, counts = prediction.locations.parent, section.counts.toarray()
    # no gene's rate exceeds all counts of a location
    rates = np.expm1(np.minimum(prediction.mean.astype(float), np.log1p(TARGET_SUM)))
    real = conserve(prediction, section).toarray()
    for place in range(len(parent)):
        family = parent == parent[place]
        for gene in range(counts.shape[1]):
            total = rates[family, gene].sum()
            share = rates[place, gene] / total if total > 0 else 1 / family.sum()
            assert real[place, gene] == pytest.approx(counts[parent[place], gene] * share, rel=1e-9)
    rounded = conserve(prediction, section, kind="rounded").toarray()
    assert (np.abs(rounded - real) < 1 + 1e-9).all()


@given(case=cases(), kind=st.sampled_from(KINDS), shuffle=st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_the_order_of_places_genes_and_spots_does_not_matter(
    case: tuple[Section, Prediction, int], kind: str, shuffle: int
) -> None:
    """The same places in another order get the same values, draws and ties included."""
    section, prediction, seed = case
    rng = np.random.default_rng(shuffle)
    places, genes, spots = (rng.permutation(m) for m in (len(prediction), len(section.genes), len(section)))
    expected = conserve(prediction, section, kind=kind, seed=seed).toarray()[places][:, genes]
    row_now = np.argsort(spots)
    locations = prediction.locations.take(places)
    locations = replace(locations, parent=row_now[locations.parent])
    moved = Prediction(locations, section.genes[genes], prediction.mean[places][:, genes])
    found = conserve(moved, section.take(spots), kind=kind, seed=seed).toarray()
    assert np.allclose(found, expected, rtol=1e-12)


def test_draws_follow_the_rates() -> None:
    """A chi-square test finds nothing between draws and rates; another seed, another draw."""
    section = section_of(np.array([[100_000]]))
    mean = np.log1p(np.array([[1.0], [2.0], [0.0], [5.0], [0.5], [0.0]]))
    prediction = Prediction(places_of(np.zeros(6)), section.genes, mean)
    drawn = conserve(prediction, section, kind="drawn", seed=1).toarray()[:, 0]
    expected = 100_000 * np.array([1.0, 2.0, 0.0, 5.0, 0.5, 0.0]) / 8.5
    seen = expected > 0
    assert stats.chisquare(drawn[seen], expected[seen]).pvalue > 1e-3
    assert not drawn[~seen].any()
    assert np.array_equal(drawn, conserve(prediction, section, kind="drawn", seed=1).toarray()[:, 0])
    assert not np.array_equal(drawn, conserve(prediction, section, kind="drawn", seed=2).toarray()[:, 0])


def factored() -> tuple[Section, FactoredPrediction]:
    section = synthetic(columns=8, rows=8, genes=30).section
    places = upsampled(section, 4)
    rng = np.random.default_rng(0)
    ones = np.ones(30)
    basis = Basis(section.genes, ones, rng.normal(0, 1.0, (30, 4)), ones, ones, ones)
    return section, FactoredPrediction(places, basis, rng.normal(size=(len(places), 4)))


@pytest.mark.parametrize("kind", KINDS)
def test_factors_and_their_matrix_share_alike(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """From factors, some genes at a time, comes what comes from the whole matrix at once."""
    section, prediction = factored()
    at_once = conserve(prediction.whole(), section, kind=kind, seed=5)
    monkeypatch.setattr("histosge.prediction.count_allocation._BLOCK", 3 * len(prediction))
    assert np.allclose(conserve(prediction, section, kind=kind, seed=5).toarray(), at_once.toarray())


def test_what_cannot_be_shared_is_a_sentence() -> None:
    """Spots without places, places without spots, strange genes, NaN, unknown kinds."""
    section = section_of(np.array([[3, 1], [2, 0], [0, 0]]))
    mean = np.ones((2, 2))
    lonely = Prediction(places_of(np.array([0, 0])), section.genes, mean)
    with pytest.raises(DataError, match="'S1'"):
        conserve(lonely, section)
    assert conserve(lonely, section, partial=True).sum() == pytest.approx(4)
    stray = Prediction(places_of(np.array([0, 3])), section.genes, mean)
    with pytest.raises(DataError, match="row 3"):
        conserve(stray, section)
    with pytest.raises(DataError, match="row -1"):
        conserve(Prediction(places_of(np.array([0, -1])), section.genes, mean), section)
    with pytest.raises(UsageError, match="is not among"):
        conserve(replace(lonely, genes=np.array(["G0", "other"])), section)
    with pytest.raises(DataError, match="NaN"):
        conserve(Prediction(places_of(np.array([0, 1])), section.genes, mean * np.nan), section)
    with pytest.raises(UsageError, match="rounded"):
        conserve(lonely, section, kind="integer")


def test_nothing_measured_is_nothing_shared() -> None:
    """No counts, or no places asked for with partial: empty matrices of the right shape."""
    section = section_of(np.zeros((3, 2), dtype=int))
    prediction = Prediction(places_of(np.array([0, 1, 2, 2])), section.genes, np.ones((4, 2)))
    for kind in KINDS:
        assert conserve(prediction, section, kind=kind).nnz == 0
