"""Allocated counts add up to the measured counts, for any partition of spots into locations."""

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


def locations_of(parent: np.ndarray) -> Locations:
    n = len(parent)
    xy = np.column_stack([np.arange(n) * 7.0, np.ones(n)])
    nothing = np.zeros(n, dtype=bool)
    points = Points(xy, np.array([f"P{i:05d}" for i in range(n)]))
    return Locations(points, xy, parent.astype(np.intp), np.full(n, -1), nothing, ~nothing)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Section, Prediction, int]:
    """Draw a partition of spots with any number of locations, counts, and predictions with zeros and ties."""
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
    return section, Prediction(locations_of(parent), section.genes, mean), draw(st.integers(0, 100))


def sums_by_spot(values: sparse.csr_matrix, parent: np.ndarray, s: int) -> np.ndarray:
    """Return the sum over each spot's locations, exact for whole numbers."""
    sums = np.zeros((s, values.shape[1]), dtype=values.dtype)
    np.add.at(sums, parent, values.toarray())
    return sums


@given(case=cases(), kind=st.sampled_from(KINDS))
@settings(max_examples=150, deadline=None)
def test_locations_add_up_to_their_spot(case: tuple[Section, Prediction, int], kind: str) -> None:
    """Counts are never negative; whole counts add up exactly, fractions to 1e-9; a rate of 0 receives nothing."""
    section, prediction, seed = case
    shared = conserve(prediction, section, kind=kind, seed=seed)
    counts = section.counts.toarray()
    sums = sums_by_spot(shared, prediction.locations.parent, len(section))
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
    predicted = total[prediction.locations.parent] > 0
    assert not shared.toarray()[(prediction.mean == 0) & predicted].any()


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_shares_are_in_proportion_to_rates(case: tuple[Section, Prediction, int]) -> None:
    """Fractions are count × rate / sum of rates, rates at most TARGET_SUM; rounded ones differ by less than 1."""
    section, prediction, _ = case
    parent, counts = prediction.locations.parent, section.counts.toarray()
    # no gene's rate exceeds all counts of a location
    rates = np.expm1(np.minimum(prediction.mean.astype(float), np.log1p(TARGET_SUM)))
    real = conserve(prediction, section).toarray()
    for location in range(len(parent)):
        same_spot = parent == parent[location]
        for gene in range(counts.shape[1]):
            total = rates[same_spot, gene].sum()
            share = rates[location, gene] / total if total > 0 else 1 / same_spot.sum()
            assert real[location, gene] == pytest.approx(counts[parent[location], gene] * share, rel=1e-9)
    rounded = conserve(prediction, section, kind="rounded").toarray()
    assert (np.abs(rounded - real) < 1 + 1e-9).all()


@given(case=cases(), kind=st.sampled_from(KINDS), shuffle=st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_the_order_of_locations_genes_and_spots_does_not_matter(
    case: tuple[Section, Prediction, int], kind: str, shuffle: int
) -> None:
    """The same locations in another order receive the same counts, draws and ties included."""
    section, prediction, seed = case
    rng = np.random.default_rng(shuffle)
    rows, genes, spots = (rng.permutation(m) for m in (len(prediction), len(section.genes), len(section)))
    expected = conserve(prediction, section, kind=kind, seed=seed).toarray()[rows][:, genes]
    row_now = np.argsort(spots)
    locations = prediction.locations.take(rows)
    locations = replace(locations, parent=row_now[locations.parent])
    moved = Prediction(locations, section.genes[genes], prediction.mean[rows][:, genes])
    counts = conserve(moved, section.take(spots), kind=kind, seed=seed).toarray()
    assert np.allclose(counts, expected, rtol=1e-12)


def test_draws_follow_the_rates() -> None:
    """A chi-square test does not reject the rates; another seed gives another draw."""
    section = section_of(np.array([[100_000]]))
    mean = np.log1p(np.array([[1.0], [2.0], [0.0], [5.0], [0.5], [0.0]]))
    prediction = Prediction(locations_of(np.zeros(6)), section.genes, mean)
    drawn = conserve(prediction, section, kind="drawn", seed=1).toarray()[:, 0]
    expected = 100_000 * np.array([1.0, 2.0, 0.0, 5.0, 0.5, 0.0]) / 8.5
    positive = expected > 0
    assert stats.chisquare(drawn[positive], expected[positive]).pvalue > 1e-3
    assert not drawn[~positive].any()
    assert np.array_equal(drawn, conserve(prediction, section, kind="drawn", seed=1).toarray()[:, 0])
    assert not np.array_equal(drawn, conserve(prediction, section, kind="drawn", seed=2).toarray()[:, 0])


def factored() -> tuple[Section, FactoredPrediction]:
    section = synthetic(columns=8, rows=8, genes=30).section
    locations = upsampled(section, 4)
    rng = np.random.default_rng(0)
    ones = np.ones(30)
    basis = Basis(section.genes, ones, rng.normal(0, 1.0, (30, 4)), ones, ones, ones)
    return section, FactoredPrediction(locations, basis, rng.normal(size=(len(locations), 4)))


@pytest.mark.parametrize("kind", KINDS)
def test_factors_and_their_matrix_give_the_same_counts(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Counts from factors, some genes at a time, are those from the whole matrix."""
    section, prediction = factored()
    at_once = conserve(prediction.whole(), section, kind=kind, seed=5)
    monkeypatch.setattr("histosge.prediction.count_allocation._BLOCK", 3 * len(prediction))
    assert np.allclose(conserve(prediction, section, kind=kind, seed=5).toarray(), at_once.toarray())


def test_unusable_input_is_refused_in_a_sentence() -> None:
    """Spots without locations, locations without spots, unknown genes, NaN and unknown kinds are refused."""
    section = section_of(np.array([[3, 1], [2, 0], [0, 0]]))
    mean = np.ones((2, 2))
    incomplete = Prediction(locations_of(np.array([0, 0])), section.genes, mean)
    with pytest.raises(DataError, match="'S1'"):
        conserve(incomplete, section)
    assert conserve(incomplete, section, partial=True).sum() == pytest.approx(4)
    stray = Prediction(locations_of(np.array([0, 3])), section.genes, mean)
    with pytest.raises(DataError, match="row 3"):
        conserve(stray, section)
    with pytest.raises(DataError, match="row -1"):
        conserve(Prediction(locations_of(np.array([0, -1])), section.genes, mean), section)
    with pytest.raises(UsageError, match="is not among"):
        conserve(replace(incomplete, genes=np.array(["G0", "other"])), section)
    with pytest.raises(DataError, match="NaN"):
        conserve(Prediction(locations_of(np.array([0, 1])), section.genes, mean * np.nan), section)
    with pytest.raises(UsageError, match="rounded"):
        conserve(incomplete, section, kind="integer")


def test_no_counts_give_an_empty_matrix() -> None:
    """Without counts the matrix is empty and has the right shape."""
    section = section_of(np.zeros((3, 2), dtype=int))
    prediction = Prediction(locations_of(np.array([0, 1, 2, 2])), section.genes, np.ones((4, 2)))
    for kind in KINDS:
        assert conserve(prediction, section, kind=kind).nnz == 0


def test_counts_are_allocated_by_expected_counts() -> None:
    """Of two locations of the same mean, the one that is less known expects more; as the mean over draws does."""
    mean, sd = np.array([0.4, 0.4, 1.5]), np.array([0.1, 1.2, 0.3])
    section = section_of(np.array([[1000]]))
    basis = Basis(section.genes, np.zeros(1), np.ones((1, 1)), np.ones(1), np.ones(1), np.zeros(1))
    locations = locations_of(np.zeros(3, dtype=np.intp))
    prediction = FactoredPrediction(locations, basis, mean[:, None], sd[:, None])
    draws = np.random.default_rng(0).normal(mean, sd, (200_000, 3))
    expected = np.expm1(np.maximum(draws, 0)).mean(axis=0)
    shares = conserve(prediction, section).toarray()[:, 0] / 1000
    assert np.allclose(shares, expected / expected.sum(), atol=0.005)
    assert shares[1] > 1.5 * shares[0]
