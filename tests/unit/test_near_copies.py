"""Copies of a section are told from sections of the same tissue by the molecules that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import sparse

from histosge.datasets import synthetic
from histosge.evaluation.audit import audit
from histosge.evaluation.near_copies import copied_spots
from histosge.evaluation.study import Study, encode_study
from histosge.models import build_model
from histosge.section.section import Section
from histosge.workflow.recipe import Recipe


@cache
def section(seed: int = 0) -> Section:
    return synthetic(columns=12, rows=12, genes=40, seed=seed).section


def thinned(section: Section, share: float) -> Section:
    """Keep a share of the molecules."""
    counts = sparse.csr_matrix(section.counts, copy=True)
    counts.data = np.random.default_rng(1).binomial(counts.data.astype(int), share).astype(counts.dtype)
    return replace(section, name="copy", counts=counts)


def moved(section: Section) -> Section:
    """Mirror the positions, move each of them a little, and rename the spots."""
    xy = section.spots.xy * [-1, 1] + np.random.default_rng(2).normal(0, 20, section.spots.xy.shape)
    ids = np.array([f"other-{row}" for row in range(len(section))])
    return replace(section, spots=replace(section.spots, xy=xy, ids=ids))


def with_more_molecules(section: Section) -> Section:
    """Add molecules of random genes to every spot."""
    more = sparse.csr_matrix(np.random.default_rng(3).poisson(0.5, section.counts.shape))
    return replace(section, name="copy", counts=sparse.csr_matrix(section.counts + more))


def steps(others: Section, *, whole: bool) -> list[str]:
    """The steps at which the audit finds leaks, where another section is fitted."""
    rows = np.arange(len(section()))
    training = rows[:0] if whole else rows[::2]
    study = Study(section(), training, np.setdiff1d(rows, training), "test", (others,), genes="all")
    return [leak.step for leak in audit(study, build_model("mean"), encode_study(study, Recipe("mean")))]


COPIES: dict[str, Callable[[], Section]] = {
    "thinned": lambda: thinned(section(), 0.5),
    "thinned to two fifths": lambda: thinned(section(), 0.4),
    "thinned, mirrored and moved": lambda: moved(thinned(section(), 0.7)),
    "a part, thinned": lambda: thinned(section(), 0.8).take(np.arange(100, 30, -1)),
    "with more molecules": lambda: with_more_molecules(section()),
}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", COPIES)
def test_a_changed_copy_of_the_section_is_a_leak(name: str, whole: bool) -> None:
    """A copy is found however its molecules, positions and barcodes were changed."""
    assert steps(COPIES[name](), whole=whole) == ["duplicated spot"]


@pytest.mark.parametrize("seed", range(1, 5))
def test_another_section_is_no_copy(seed: int) -> None:
    """Sections that share no molecules may be fitted, and so may two halves of a section."""
    assert steps(section(seed), whole=True) == []
    order = np.random.default_rng(seed).permutation(len(section()))
    counts = sparse.csr_matrix(section().counts)
    assert not copied_spots(counts[order[::2]], counts[order[1::2]], seed=seed).certain


def test_too_little_to_compare_is_no_copy() -> None:
    """A handful of spots or genes decides nothing."""
    counts = sparse.csr_matrix(section().counts)
    assert not copied_spots(counts[:4], counts[:4]).certain
    assert not copied_spots(counts[:, :2], counts[:, :2]).certain
    assert not copied_spots(0 * counts, 0 * counts).certain
