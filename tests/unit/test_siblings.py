"""Sections fitted together: which genes they share, and what one says of another."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy import sparse

from histosge._runtime.types import Array
from histosge.datasets.synthetic import Synthetic, synthetic
from histosge.errors import UsageError
from histosge.metrics.pearson import pearson
from histosge.models.base import predict
from histosge.models.cokriging.model import Cokriging
from histosge.section.inputs import concatenated
from histosge.section.locations import at_spots
from histosge.section.multi_section import SectionGroup
from histosge.section.section import Section
from histosge.workflow.encode import encode, encode_spots, encoder_for
from histosge.workflow.fit import fit
from histosge.workflow.recipe import Recipe

RECIPE = Recipe(genes="all")


@lru_cache
def tissue(seed: int, lattice: str = "hexagonal") -> Synthetic:
    """A tissue whose genes are those of every other seed: loadings differ, what drives each gene does not."""
    return synthetic(columns=12, rows=14, genes=60, seed=seed, lattice=lattice)  # type: ignore[arg-type]


def named(section: Section, genes: Array, ids: Array | None = None) -> Section:
    return replace(section, genes=genes, gene_ids=genes if ids is None else ids)


def with_genes(section: Section, columns: Array) -> Section:
    """The section with these genes, in this order."""
    return replace(
        section,
        counts=section.counts[:, columns],
        genes=section.genes[columns],
        gene_ids=section.gene_ids[columns],
    )


def scaled(section: Section, seed: int) -> Section:
    """The section measured by another lab: each gene is caught up to eight times as often, or as rarely."""
    factor = np.exp2(np.random.default_rng(seed).uniform(-3, 3, len(section.genes)))
    counts = sparse.csr_matrix(np.rint(section.counts.toarray() * factor * 4))
    return replace(section, counts=counts)


def skill_on_removed(auxiliary: tuple[Section, ...], *, own: bool = True, every: int = 8) -> float:
    """Mean correlation with the truth at spots that were not fitted, one in ``every`` of the target being fitted."""
    target = tissue(0)
    rows = np.arange(0, len(target.section), every) if own else np.arange(0)
    test = np.setdiff1d(np.arange(len(target.section)), np.arange(0, len(target.section), every))
    pool = SectionGroup.of(target.section, auxiliary)
    panel = pool.choose("all", rows=rows)
    model = Cokriging()
    encoder = encoder_for(target.section, RECIPE, needs=model.needs, compute=_machine())
    inputs = encode_spots(pool.sections, needs=model.needs, encoder=encoder)
    predictor = model.fit(pool.gather(panel, inputs, rows=rows))
    found = predict(predictor, inputs.take(test)).mean
    truth = target.truth(target.section.spots.xy[test])[:, panel.columns]
    return float(np.mean(pearson(truth, found.astype(float))))


def _machine() -> object:
    from histosge.workflow.compute import Compute

    return Compute()


def test_genes_are_matched_by_name_whatever_their_order() -> None:
    """Each common gene's column holds that gene's counts in every section; the rest is reported, not lost silently."""
    first, second = tissue(0).section, tissue(1).section
    order = np.random.default_rng(0).permutation(60)[:50]
    pool = SectionGroup.of(with_genes(first, np.arange(5, 60)), [with_genes(second, order)])
    assert set(pool.genes) == set(first.genes[5:]) & set(second.genes[order])
    for section, columns in zip(pool.sections, pool.columns, strict=True):
        assert list(section.genes[columns]) == list(pool.genes)
    (told,) = pool.auxiliary_summary()
    assert told.genes == len(pool.genes)
    assert told.missing == 55 - len(pool.genes)
    assert told.further == 50 - len(pool.genes)


def test_the_order_of_a_siblings_genes_changes_nothing() -> None:
    """The samples of two sections are the same bits when the sibling's genes are shuffled."""
    first, second = tissue(0).section, tissue(1).section
    inputs = concatenated([_places(first), _places(second)])
    found = []
    for auxiliary_section in (second, with_genes(second, np.random.default_rng(1).permutation(60))):
        pool = SectionGroup.of(first, [auxiliary_section])
        found.append(pool.gather(pool.choose("hvg:20"), inputs))
    assert list(found[0].genes) == list(found[1].genes)
    assert np.array_equal(found[0].expression, found[1].expression)


def _places(section: Section) -> object:
    return encode(section, at_spots(section), needs=Cokriging(image=False).needs, encoder=None)


def test_identifiers_match_where_names_do_not() -> None:
    """A sibling with Ensembl ids for names is matched by the target's ids; without them it is refused in a sentence."""
    first, second = tissue(0).section, tissue(1).section
    ids = np.array([f"ENSG{number:011d}" for number in range(60)])
    pool = SectionGroup.of(named(first, first.genes, ids), [named(second, ids)])
    assert list(pool.genes) == list(first.genes)
    with pytest.raises(UsageError, match="no gene in common") as caught:
        SectionGroup.of(first, [named(second, ids)])
    assert "synthetic" in str(caught.value)


def test_genes_are_chosen_on_the_target() -> None:
    """The panel is that of the target's spots looked at, among the common genes, whatever the siblings' counts."""
    first, second = tissue(0).section, tissue(1).section
    rows = np.arange(0, len(first), 2)
    shared = with_genes(second, np.arange(10, 60))
    panel = SectionGroup.of(first, [shared]).choose("hvg:15", rows=rows)
    alone = SectionGroup.of(with_genes(first, np.arange(10, 60))).choose("hvg:15", rows=rows)
    assert list(panel.names) == list(alone.names)
    assert list(first.genes[panel.columns]) == list(panel.names)


def test_a_sibling_helps_where_little_was_measured() -> None:
    """With an eighth of the spots fitted, two siblings raise the correlation with the truth at the others."""
    auxiliary = (tissue(1).section, tissue(2).section)
    assert skill_on_removed(auxiliary) > skill_on_removed(()) + 0.02


def test_a_sibling_of_another_pitch_and_gene_list_does_not_hurt() -> None:
    """A legacy section, of twice the pitch and other genes, costs the target next to nothing."""
    coarse = with_genes(tissue(3, "square").section, np.arange(60)[::-1])
    assert skill_on_removed((coarse,)) > skill_on_removed(()) - 0.01


def test_a_batch_shift_of_the_sibling_is_absorbed() -> None:
    """Counts of each of its genes multiplied, the sibling still helps nearly as much."""
    auxiliary_section = tissue(1).section
    alone, plain, shifted = (
        skill_on_removed(others)
        for others in ((), (auxiliary_section,), (scaled(auxiliary_section, seed=5),))
    )
    assert shifted > plain - 0.03
    assert shifted > alone


def test_a_section_of_which_nothing_was_fitted_is_predicted_from_its_image() -> None:
    """Fitted to siblings alone the model beats what no look at the image could know, and is never NaN."""
    assert skill_on_removed((tissue(1).section, tissue(2).section), own=False) > 0.2


def test_intervals_and_skill_are_those_of_the_target() -> None:
    """A sibling of pure noise leaves the target's own left-out skill what it is without it, or nearly so."""
    first, second = tissue(0).section, tissue(1).section
    rng = np.random.default_rng(0)
    noise = replace(second, counts=sparse.csr_matrix(rng.poisson(5.0, second.counts.shape).astype(float)))
    alone, beside = (fit(first, RECIPE, auxiliary=others).predictor for others in ((), (noise,)))
    told = [float(each.summary()["r_loo"]) for each in (alone, beside)]
    assert told[1] > 0.8 * told[0]


def test_large_siblings_are_thinned_before_the_target_is() -> None:
    """Where all spots are too many for an exact fit, all spots of the target are kriged, and some others."""
    first, second = tissue(0).section, tissue(1).section
    pool, model = (
        SectionGroup.of(first, [second]),
        Cokriging(image=False, exact=len(first) + 20, inducing_points=10),
    )
    inputs = concatenated([_places(first), _places(second)])  # type: ignore[list-item]
    predictor = model.fit(pool.gather(pool.choose("all"), inputs))
    assert predictor.summary()["inducing_points"] == len(first) + 20
    assert np.array_equal(predictor.inducing_points.xy_um[: len(first)], first.spots.xy)
    assert len(predictor.left_out_scores()[0]) == len(first) + 20
