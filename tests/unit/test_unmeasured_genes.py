"""Genes that a section did not measure, through gene programs that have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from program_samples import GENES, adata_of, counts_of
from scipy import sparse

import histosge as hs
from histosge.errors import DataError, UsageError
from histosge.metrics.pearson import pearson
from histosge.section.expression import log_cp10k
from histosge.section.locations import at_spots

PANEL = np.arange(0, 80, 2)


@pytest.fixture(scope="module")
def whole() -> hs.Section:
    """Return a section whose expression changes smoothly, with all genes."""
    section = hs.synthetic(columns=12, rows=12, genes=12, seed=3).section
    xy = section.spots.xy / 400
    counts = counts_of(
        len(section), seed=5, scores=np.stack([np.sin(xy[:, 0]), np.cos(xy[:, 1]), np.sin(xy.sum(1))], 1)
    )
    return replace(section, counts=sparse.csr_matrix(counts), genes=GENES, gene_ids=GENES)


@pytest.fixture(scope="module")
def measured(whole: hs.Section) -> hs.Section:
    """Return the section with half of the genes."""
    return replace(whole, counts=whole.counts[:, PANEL], genes=GENES[PANEL], gene_ids=GENES[PANEL])


@pytest.fixture(scope="module")
def fit(measured: hs.Section) -> hs.Section:
    return hs.fit(measured, hs.Recipe("cokriging", "positions", genes="all"))


def test_genes_outside_the_panel_have_their_pattern(
    whole: hs.Section, measured: hs.Section, fit: hs.Section
) -> None:
    """Half of the genes are predicted from the others, with a stated r near the true one."""
    result = hs.predict_unmeasured(fit, measured, at_spots(measured), adata_of(counts_of(400)))
    columns = whole.columns(result.prediction.genes)
    truth = log_cp10k(whole.counts, columns=columns).toarray()
    r = pearson(truth, result.prediction.mean)
    assert len(result.prediction.genes) > 20
    assert r.mean() > 0.5
    assert abs(r.mean() - result.r.mean()) < 0.15
    assert not set(result.prediction.genes) & set(measured.genes)


def test_programs_of_exchanged_genes_show_nothing(measured: hs.Section, fit: hs.Section) -> None:
    """Most genes are refused where the genes of the programs are exchanged; with the right ones all are shown."""
    shown = 0
    for seed in range(4):
        other = np.random.default_rng(seed).permutation(GENES)
        programs = adata_of(counts_of(400), other)
        shown += len(hs.predict_unmeasured(fit, measured, at_spots(measured), programs).r)
    assert shown <= 80
    assert len(hs.predict_unmeasured(fit, measured, at_spots(measured), adata_of(counts_of(400))).r) == 40


def test_single_genes_can_be_asked_for(measured: hs.Section, fit: hs.Section) -> None:
    """Genes that are measured, or that no programs have, are refused by name."""
    programs = hs.programs.build(adata_of(counts_of(400)))
    locations = at_spots(measured)
    result = hs.predict_unmeasured(fit, measured, locations, programs, genes=["GENE01"])
    assert [*result.prediction.genes, *result.refused] == ["GENE01"]
    with pytest.raises(UsageError, match="'GENE00' is measured"):
        hs.predict_unmeasured(fit, measured, locations, programs, genes=["GENE00"])
    with pytest.raises(UsageError, match="'GENE99' is not among"):
        hs.predict_unmeasured(fit, measured, locations, programs, genes=["GENE99"])


def test_few_common_genes_are_refused(measured: hs.Section, fit: hs.Section) -> None:
    """Ten measured genes among those of the programs show nothing."""
    programs = adata_of(counts_of(400)[:, :20], GENES[:20])
    with pytest.raises(DataError, match="at least 30 measured genes"):
        hs.predict_unmeasured(fit, measured, at_spots(measured), programs)


def test_a_model_without_factors_is_refused(measured: hs.Section) -> None:
    """Inverse distances have no factors that another gene could follow."""
    fit = hs.fit(measured, hs.Recipe("idw", genes="all"))
    with pytest.raises(UsageError, match="factors"):
        hs.predict_unmeasured(fit, measured, at_spots(measured), adata_of(counts_of()))
