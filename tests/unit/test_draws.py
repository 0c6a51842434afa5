"""Random draws belong to spots and genes by name: a table in another order gives the same results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import histosge as hs
from histosge._runtime.draws import fair_coins, hashed, random_order


def test_coins_are_fair_and_independent() -> None:
    """Heads are binomial: half of the coins in the mean, a quarter in the variance, alike in no two columns."""
    counts = np.random.default_rng(0).poisson(40, (300, 200))
    heads = fair_coins(counts, hashed(range(300), 0), hashed(range(200), 1))
    excess = heads - counts / 2
    assert abs(excess.mean()) < 0.05
    assert abs(excess.var() / (counts.mean() / 4) - 1) < 0.03
    assert abs(np.corrcoef(excess[:, 1:].ravel(), excess[:, :-1].ravel())[0, 1]) < 0.02
    assert ((heads >= 0) & (heads <= counts)).all()


def test_coins_do_not_depend_on_the_order_of_rows_and_columns() -> None:
    """Each cell keeps its draw when rows and columns are permuted."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(90, (30, 20))
    rows, columns = hashed([f"spot{i}" for i in range(30)], 7), hashed([f"gene{i}" for i in range(20)], 7)
    i, j = rng.permutation(30), rng.permutation(20)
    heads = fair_coins(counts, rows, columns)
    np.testing.assert_array_equal(fair_coins(counts[np.ix_(i, j)], rows[i], columns[j]), heads[np.ix_(i, j)])


def test_orders_and_hashes_depend_on_the_seed() -> None:
    """Another seed or another purpose is another order."""
    names = [f"spot{i}" for i in range(50)]
    first = random_order(names, 0)
    assert sorted(first) == list(range(50))
    assert (first != random_order(names, 1)).any()
    assert (first != random_order(names, 0, "images")).any()


def test_cokriging_does_not_depend_on_the_order_of_spots_and_genes() -> None:
    """A section whose rows and columns are in another order has the same prediction, but for rounding."""
    section = hs.synthetic(columns=12, rows=12, genes=40).section
    rng = np.random.default_rng(3)
    columns = rng.permutation(len(section.genes))
    other = section.take(rng.permutation(len(section)))
    other = replace(
        other, counts=other.counts[:, columns], genes=other.genes[columns], gene_ids=other.gene_ids[columns]
    )
    predicted = []
    for tissue in (section, other):
        fit = hs.fit(tissue, hs.Recipe(genes="all"))
        prediction = hs.predict(fit, tissue, hs.upsampled(tissue, 2))
        order = np.lexsort(np.round(prediction.locations.xy.T, 3))
        mean = prediction.mean[order]
        predicted.append(mean[:, np.argsort(prediction.genes)])
    np.testing.assert_allclose(predicted[0], predicted[1], atol=1e-4)
