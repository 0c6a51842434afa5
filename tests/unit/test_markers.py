"""Marker genes have spatial patterns and differ from one another."""

from __future__ import annotations

import numpy as np

from histosge.datasets import synthetic
from histosge.figures.markers import choose_diverse_markers, choose_markers, choose_predicted_markers
from histosge.prediction.prediction import Prediction
from histosge.section.gene_families import families_of
from histosge.section.locations import at_spots

SECTION = synthetic().section


def test_markers_have_patterns_and_differ() -> None:
    """Of a tissue with known drivers four different ones are chosen, and no gene without a pattern."""
    chosen = choose_markers(SECTION, SECTION.genes)
    drivers = {name.rstrip("0123456789") for name in chosen}
    assert len(chosen) == 4
    assert len(drivers) >= 3
    assert "FLAT" not in drivers


def test_predicted_markers_are_weighted_by_their_accuracy() -> None:
    """A gene that is predicted badly is not chosen; near copies of a chosen gene come last."""
    rng = np.random.default_rng(0)
    n = len(SECTION)
    pattern, other = rng.normal(size=n), rng.normal(size=n)
    mean = np.column_stack([3 * pattern, 2.9 * pattern, other, 5 * rng.normal(size=n)]).astype(np.float32)
    prediction = Prediction(at_spots(SECTION), SECTION.genes[:4], mean)
    chosen = choose_predicted_markers(prediction, 2, r_loo=np.array([0.9, 0.9, 0.9, 0.0]))
    assert chosen == (SECTION.genes[0], SECTION.genes[2])


def test_patterns_have_one_gene_each() -> None:
    """Of three patterns each has its most accurate gene, whatever the number of copies."""
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(400, 3))
    maps = np.column_stack([patterns[:, at] + 0.05 * rng.normal(size=400) for at in (0, 0, 0, 0, 1, 2)])
    accuracy = np.array([0.5, 0.9, 0.8, 0.7, 0.4, 0.3])
    nothing, families = np.ones(6), np.full(6, "", dtype="<U16")
    assert choose_diverse_markers(maps, accuracy, detected=nothing, families=families, n=3) == (1, 4, 5)


def test_families_and_rare_genes_are_left_out() -> None:
    """No mitochondrial or ribosomal gene, one immunoglobulin and no gene of few spots, where there are others."""
    maps = np.random.default_rng(0).normal(size=(200, 8))
    families = families_of(["MT-CO1", "RPL3", "IGKC", "IGHG1", "A", "B", "C", "RARE"], [""] * 8)
    detected = np.array([1, 1, 1, 1, 1, 1, 1, 0.01])
    accuracy = np.array([0.99, 0.98, 0.97, 0.96, 0.5, 0.4, 0.3, 0.95])
    chosen = choose_diverse_markers(maps, accuracy, detected=detected, families=families)
    assert chosen[0] == 2
    assert not {0, 1, 3, 7} & set(chosen)
    only = choose_diverse_markers(
        maps[:, :2], accuracy[:2], detected=detected[:2], families=families[:2], n=2
    )
    assert only == (0, 1)
