"""What holds for every domain method; a new one is tested without an edit here."""

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
from histosge.domains import DOMAINS, DomainInput, Method, build_method, neighbour_distance_um
from histosge.errors import DataError, UsageError
from histosge.section.locations import upsampled

REFERENCES = (Path(histosge.__file__).parent / "workflow/references.bib").read_text(encoding="utf-8")
# few epochs, that fit a test
QUICK: dict[str, dict[str, Any]] = {"stagate": {"epochs": 60}, "stmask": {"epochs": 20, "starts": 10}}
QUICK["spatial_mixture"] = {"pairs": 2}
NAMES = sorted(DOMAINS)


@cache
def tissue() -> Synthetic:
    return synthetic(columns=20, rows=20, genes=80)


@cache
def measured() -> DomainInput:
    return DomainInput.measured(tissue().section, genes="all")


def quick(name: str) -> Method:
    return build_method(name, **QUICK.get(name, {}))


def labels_by(name: str, rows: np.ndarray | None = None, *, clusters: int = 3, seed: int = 0) -> np.ndarray:
    data = measured()
    rows = np.arange(len(data)) if rows is None else rows
    pitch_um = neighbour_distance_um(data.xy_um)
    return quick(name).assign(
        data.values[rows], data.xy_um[rows], pitch_um=pitch_um, clusters=clusters, seed=seed
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_card_has_name_summary_and_citation(name: str) -> None:
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
    labels = labels_by(name)
    size = np.bincount(labels)
    assert len(size) == 3
    assert (np.diff(size) <= 0).all()
    assert size.min() > 0


@pytest.mark.parametrize("name", NAMES)
def test_domains_agree_with_compartments(name: str) -> None:
    """On the synthetic tissue the adjusted Rand index with its compartments is far above 0, that of chance."""
    truth = tissue().domains(measured().xy_um)
    assert adjusted_rand_score(truth, labels_by(name)) > 0.35


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_domains(name: str) -> None:
    """The same call returns the same labels."""
    assert np.array_equal(labels_by(name), labels_by(name))


@pytest.mark.parametrize("name", ["kmeans", "leiden", "spatial_mixture"])
def test_the_order_of_the_spots_does_not_matter(name: str) -> None:
    """Permuted spots get the same domains, up to a few between two domains."""
    order = np.random.default_rng(0).permutation(len(measured().ids))
    assert adjusted_rand_score(labels_by(name)[order], labels_by(name, order)) > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_domains_do_not_depend_on_the_coordinate_frame(name: str) -> None:
    """Rotating, mirroring and shifting the tissue changes next to nothing."""
    data = measured()
    turned = data.xy_um[:, ::-1] * np.array([1.0, -1.0]) + 5000.0
    again = quick(name).assign(data.values, turned, pitch_um=neighbour_distance_um(turned), clusters=3)
    assert adjusted_rand_score(labels_by(name), again) > 0.9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("clusters", "error", "words"),
    [(1, UsageError, "2 or more"), (10_000, UsageError, "as many locations")],
)
def test_impossible_numbers_of_domains_are_refused(
    name: str, clusters: int, error: type[Exception], words: str
) -> None:
    """One domain, and more domains than locations, are refused."""
    with pytest.raises(error, match=words):
        labels_by(name, clusters=clusters)


@pytest.mark.parametrize("name", NAMES)
def test_unusable_values_are_refused(name: str) -> None:
    """Constant and missing values, and missing positions, are errors."""
    values, xy = measured().values, measured().xy_um
    options: dict[str, Any] = {"pitch_um": 100.0, "clusters": 3}
    with pytest.raises(DataError, match="differs between locations"):
        quick(name).assign(np.ones_like(values), xy, **options)
    with pytest.raises(DataError, match="finite expression"):
        quick(name).assign(np.where(values > 1, np.nan, values), xy, **options)
    with pytest.raises(DataError, match="finite positions"):
        quick(name).assign(values, np.where(xy > 1000, np.inf, xy), **options)


@pytest.mark.parametrize("name", NAMES)
def test_a_number_of_domains_is_chosen_or_required(name: str) -> None:
    """Without a number of domains a method chooses it or requires it."""
    data = measured()
    if DOMAINS[name].card.finds_number:
        assert len(np.unique(quick(name).assign(data.values, data.xy_um, pitch_um=100.0, clusters=None))) > 1
        return
    with pytest.raises(UsageError, match="`clusters`"):
        quick(name).assign(data.values, data.xy_um, pitch_um=100.0, clusters=None)


@pytest.mark.parametrize("name", NAMES)
def test_separate_pieces_of_tissue_have_domains(name: str) -> None:
    """Two pieces, an isolated spot and two spots at one position get domains too."""
    xy = measured().xy_um.copy()
    xy[xy[:, 0] > np.median(xy[:, 0])] += 1e5
    xy[0] -= 1e6
    xy[2] = xy[3]
    labels = quick(name).assign(measured().values, xy, pitch_um=100.0, clusters=3)
    assert len(np.unique(labels)) == 3


@pytest.mark.parametrize("name", NAMES)
def test_domains_of_upsampled_locations_are_those_of_the_tissue(name: str) -> None:
    """At four sub-spots per spot, graphs scale with the distance of neighbours: true expression gives the domains."""
    locations = upsampled(tissue().section, 4)
    values = tissue().truth(locations.xy)
    values = values + np.random.default_rng(0).normal(0, 0.3, values.shape)
    pitch_um = neighbour_distance_um(locations.xy)
    assert pitch_um == pytest.approx(50.0, rel=0.02)
    labels = quick(name).assign(values, locations.xy, pitch_um=pitch_um, clusters=3)
    # three communities of many similar locations are coarse: Leiden agrees least
    assert adjusted_rand_score(tissue().domains(locations.xy), labels) > 0.15


def test_unknown_methods_and_options_are_refused_with_near_misses() -> None:
    """A typing error in a name names the right one."""
    with pytest.raises(UsageError, match="kmeans"):
        build_method("kmean")
    with pytest.raises(UsageError, match="epochs"):
        build_method("stagate", epoch=3)
    with pytest.raises(UsageError, match="published"):
        build_method("stagate", "publishd")


def test_leiden_names_the_number_that_it_finds() -> None:
    """Three unrelated groups of profiles are never two communities."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(150, 6)) + 100.0 * np.eye(3, 6)[np.repeat([0, 1, 2], 50)]
    xy = rng.uniform(0, 1000, (150, 2))
    with pytest.raises(UsageError, match="no 2 communities here at any resolution, but 3"):
        build_method("leiden").assign(values, xy, pitch_um=100.0, clusters=2)
