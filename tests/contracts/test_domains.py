"""What every way to find domains keeps; a new one is tested without a line written here."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import histosge
from histosge.datasets import Synthetic, synthetic
from histosge.domains import DOMAINS, Method, build_method, spacing_um
from histosge.errors import DataError, UsageError
from histosge.section.locations import upsampled
from histosge.workflow.domain_input import Subject, from_section

REFERENCES = (Path(histosge.__file__).parent / "references.bib").read_text(encoding="utf-8")
# courses that fit a test
QUICK: dict[str, dict[str, Any]] = {"stagate": {"epochs": 60}, "stmask": {"epochs": 60, "starts": 10}}
NAMES = sorted(DOMAINS)


@cache
def tissue() -> Synthetic:
    return synthetic(columns=20, rows=20, genes=80)


@cache
def subject() -> Subject:
    return from_section(tissue().section, genes="all")


def quick(name: str) -> Method:
    return build_method(name, **QUICK.get(name, {}))


def divided(name: str, rows: np.ndarray | None = None, *, clusters: int = 3, seed: int = 0) -> np.ndarray:
    given = subject()
    rows = np.arange(len(given.ids)) if rows is None else rows
    return quick(name).assign(
        given.values[rows], given.xy_um[rows], pitch_um=spacing_um(given.xy_um), clusters=clusters, seed=seed
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_a_user_must_know(name: str) -> None:
    """Name, a sentence, a citation that exists; a frozen configuration."""
    method = build_method(name)
    assert method.card.name == name
    assert method.card.summary.endswith(".")
    assert re.search(rf"@\w+\{{{method.card.citation},", REFERENCES)
    assert re.fullmatch(r"hvg:\d+|all", method.genes)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.genes = "all"  # type: ignore[misc]


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_numbered_by_size(name: str) -> None:
    """As many domains as asked for, numbered from 0, the largest first."""
    labels = divided(name)
    size = np.bincount(labels)
    assert len(size) == 3
    assert (np.diff(size) <= 0).all()
    assert size.min() > 0


@pytest.mark.parametrize("name", NAMES)
def test_compartments_are_found(name: str) -> None:
    """On the synthetic tissue domains agree with its compartments far better than chance, whose index is 0."""
    truth = tissue().domains(subject().xy_um)
    assert adjusted_rand_score(truth, divided(name)) > 0.35


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_domains(name: str) -> None:
    """Twice the same call, twice the same labels."""
    assert np.array_equal(divided(name), divided(name))


@pytest.mark.parametrize("name", ["kmeans", "leiden"])
def test_the_order_of_the_spots_does_not_matter(name: str) -> None:
    """Permuted spots get the same domains, up to a few on the border between two."""
    order = np.random.default_rng(0).permutation(len(subject().ids))
    assert adjusted_rand_score(divided(name)[order], divided(name, order)) > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_expression_decides_not_the_frame(name: str) -> None:
    """Turning, mirroring and shifting the tissue changes next to nothing."""
    given = subject()
    turned = given.xy_um[:, ::-1] * np.array([1.0, -1.0]) + 5000.0
    again = quick(name).assign(given.values, turned, pitch_um=spacing_um(turned), clusters=3)
    assert adjusted_rand_score(divided(name), again) > 0.9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("clusters", "error", "words"),
    [(1, UsageError, "2 or more"), (10_000, UsageError, "as many places")],
)
def test_numbers_that_cannot_be_are_refused(
    name: str, clusters: int, error: type[Exception], words: str
) -> None:
    """One domain says nothing; more domains than places cannot be."""
    with pytest.raises(error, match=words):
        divided(name, clusters=clusters)


@pytest.mark.parametrize("name", NAMES)
def test_values_that_say_nothing_are_refused(name: str) -> None:
    """Constant and missing values, and missing positions, end in a sentence."""
    values, xy = subject().values, subject().xy_um
    given: dict[str, Any] = {"pitch_um": 100.0, "clusters": 3}
    with pytest.raises(DataError, match="differ between places"):
        quick(name).assign(np.ones_like(values), xy, **given)
    with pytest.raises(DataError, match="finite expression"):
        quick(name).assign(np.where(values > 1, np.nan, values), xy, **given)
    with pytest.raises(DataError, match="finite positions"):
        quick(name).assign(values, np.where(xy > 1000, np.inf, xy), **given)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_that_needs_the_number_says_so(name: str) -> None:
    """Without a number of domains a method finds it or asks for it."""
    given = subject()
    if DOMAINS[name].card.finds_number:
        assert (
            len(np.unique(quick(name).assign(given.values, given.xy_um, pitch_um=100.0, clusters=None))) > 1
        )
        return
    with pytest.raises(UsageError, match="--clusters"):
        quick(name).assign(given.values, given.xy_um, pitch_um=100.0, clusters=None)


@pytest.mark.parametrize("name", NAMES)
def test_a_torn_tissue_is_divided_all_the_same(name: str) -> None:
    """Two islands, a lone spot and two spots at one place are no obstacle."""
    xy = subject().xy_um.copy()
    xy[xy[:, 0] > np.median(xy[:, 0])] += 1e5
    xy[0] -= 1e6
    xy[2] = xy[3]
    labels = quick(name).assign(subject().values, xy, pitch_um=100.0, clusters=3)
    assert len(np.unique(labels)) == 3


@pytest.mark.parametrize("name", NAMES)
def test_generated_places_are_divided_like_the_tissue(name: str) -> None:
    """At four places a spot, with graphs scaled to their spacing, the true expression gives the compartments."""
    places = upsampled(tissue().section, 4)
    values = tissue().truth(places.xy)
    values = values + np.random.default_rng(0).normal(0, 0.3, values.shape)
    spacing = spacing_um(places.xy)
    assert spacing == pytest.approx(50.0, rel=0.02)
    labels = quick(name).assign(values, places.xy, pitch_um=spacing, clusters=3)
    # few communities of many alike places are coarse: Leiden is the weakest here
    assert adjusted_rand_score(tissue().domains(places.xy), labels) > 0.15


def test_unknown_methods_and_options_are_answered_with_near_misses() -> None:
    """A typing error in a name names the right one."""
    with pytest.raises(UsageError, match="kmeans"):
        build_method("kmean")
    with pytest.raises(UsageError, match="epochs"):
        build_method("stagate", epoch=3)
    with pytest.raises(UsageError, match="published"):
        build_method("stagate", "publishd")


def test_leiden_says_which_number_it_finds() -> None:
    """Three groups of profiles with nothing in common are never two communities."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(150, 6)) + 100.0 * np.eye(3, 6)[np.repeat([0, 1, 2], 50)]
    xy = rng.uniform(0, 1000, (150, 2))
    with pytest.raises(UsageError, match="no 2 communities here at any resolution; 3 it finds"):
        build_method("leiden").assign(values, xy, pitch_um=100.0, clusters=2)
