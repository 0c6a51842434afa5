"""Fits of cokriging with auxiliary sections: they help, and neither batch effects nor noise do harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from auxiliary_samples import EVERY_GENE, FIRST, SECOND, at_positions, tissue, with_genes
from scipy import sparse

from histosge.metrics.pearson import pearson
from histosge.models.base import predict
from histosge.models.cokriging.model import Cokriging
from histosge.section.inputs import concatenated
from histosge.section.multi_section import SectionGroup
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode_spots, encoder_for
from histosge.workflow.fit import fit
from histosge.workflow.recipe import Recipe

RECIPE = Recipe(genes="all")
THIRD = tissue(2).section
# one spot in eight is a training spot
TRAINING = np.arange(0, len(FIRST), 8)
TEST = np.setdiff1d(np.arange(len(FIRST)), TRAINING)


def scaled(section: Section, seed: int) -> Section:
    """Return the section as of another laboratory: each gene is counted up to eight times as often, or as rarely."""
    factor = np.exp2(np.random.default_rng(seed).uniform(-3, 3, len(section.genes)))
    counts = sparse.csr_matrix(np.rint(section.counts.toarray() * factor * 4))
    return replace(section, counts=counts)


def correlation(auxiliary: tuple[Section, ...], training: np.ndarray = TRAINING) -> float:
    """Return the mean correlation with the truth at test spots of the first section."""
    group = SectionGroup.of(FIRST, auxiliary)
    panel = group.choose("all", rows=training)
    model = Cokriging()
    encoder = encoder_for(FIRST, RECIPE, needs=model.needs, compute=Compute())
    inputs = encode_spots(group.sections, needs=model.needs, encoder=encoder)
    predictor = model.fit(group.gather(panel, inputs, rows=training))
    mean = predict(predictor, inputs.take(TEST)).mean
    truth = tissue(0).truth(FIRST.spots.xy[TEST])[:, panel.columns]
    return float(np.mean(pearson(truth, mean.astype(float))))


def test_auxiliary_sections_help_where_little_was_measured() -> None:
    """With an eighth of the spots fitted, two auxiliary sections raise the correlation at the others."""
    assert correlation((SECOND, THIRD)) > correlation(()) + 0.02


def test_a_section_of_another_pitch_and_gene_list_does_no_harm() -> None:
    """A legacy section, of twice the pitch and with the genes in another order, lowers the correlation by nothing."""
    coarse = with_genes(tissue(3, "square").section, EVERY_GENE[::-1])
    assert correlation((coarse,)) > correlation(()) - 0.01


def test_a_batch_effect_of_the_auxiliary_section_is_absorbed() -> None:
    """With the counts of each gene multiplied, the auxiliary section helps nearly as much."""
    alone, plain, shifted = (correlation(others) for others in ((), (SECOND,), (scaled(SECOND, seed=5),)))
    assert shifted > plain - 0.03
    assert shifted > alone


def test_a_section_without_training_spots_is_predicted_from_its_image() -> None:
    """Fitted to auxiliary sections alone, the model follows the truth of the first section."""
    assert correlation((SECOND, THIRD), np.arange(0)) > 0.2


def test_r_loo_is_that_of_the_first_section() -> None:
    """An auxiliary section of pure noise leaves the r_loo of the first section nearly as it is."""
    rng = np.random.default_rng(0)
    noise = replace(SECOND, counts=sparse.csr_matrix(rng.poisson(5.0, SECOND.counts.shape).astype(float)))
    alone, beside = (
        float(fit(FIRST, RECIPE, auxiliary=others).predictor.summary()["r_loo"]) for others in ((), (noise,))
    )
    assert beside > 0.8 * alone


def test_large_auxiliary_sections_are_thinned() -> None:
    """Where all spots are too many for an exact fit, all spots of the first section are kriged, and some others."""
    group = SectionGroup.of(FIRST, [SECOND])
    model = Cokriging(image=False, exact=len(FIRST) + 20, inducing_points=10)
    inputs = concatenated([at_positions(FIRST), at_positions(SECOND)])
    predictor = model.fit(group.gather(group.choose("all"), inputs))
    assert predictor.summary()["inducing_points"] == len(FIRST) + 20
    assert np.array_equal(predictor.inducing_points.xy_um[: len(FIRST)], FIRST.spots.xy)
    assert len(predictor.left_out_scores()[0]) == len(FIRST) + 20
