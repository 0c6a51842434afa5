"""Genes that a section did not measure, through gene programs that have them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
from program_samples import GENES, adata_of, counts_of
from scipy import sparse

import histosge as hs
from histosge.errors import DataError, UsageError
from histosge.metrics.pearson import pearson
from histosge.report.contents import collect
from histosge.report.panel import parts
from histosge.section.expression import log_cp10k
from histosge.section.locations import at_spots
from histosge.workflow.steps import predict_to_folder

PANEL = np.arange(0, 80, 2)
# genes of different levels
LEVELS = 1 + np.arange(80) * 7 % 10


@pytest.fixture(scope="module")
def whole() -> hs.Section:
    """Return a section whose expression changes smoothly, with all genes."""
    section = hs.synthetic(columns=12, rows=12, genes=12, seed=3).section
    xy = section.spots.xy / 400
    counts = counts_of(
        len(section), seed=5, scores=np.stack([np.sin(xy[:, 0]), np.cos(xy[:, 1]), np.sin(xy.sum(1))], 1)
    )
    return replace(section, counts=sparse.csr_matrix(counts * LEVELS), genes=GENES, gene_ids=GENES)


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
    programs = hs.programs.build(adata_of(counts_of(400) * LEVELS))
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


@pytest.fixture(scope="module")
def folder(measured: hs.Section, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that predicts all unmeasured genes."""
    out = tmp_path_factory.mktemp("runs") / "run"
    recipe = hs.Recipe("cokriging", "positions", genes="all")
    outputs = hs.Outputs(figures=False, unmeasured="all")
    programs = hs.programs.build(adata_of(counts_of(400) * LEVELS))
    hs.run(measured, recipe, target=hs.Target(upsample=1), out=out, programs=programs, outputs=outputs)
    return out


def test_a_run_writes_them_into_a_file_of_their_own(whole: hs.Section, folder: Path) -> None:
    """unmeasured.h5ad has no measured gene; its level and standard deviation hold for what was not measured."""
    adata, prediction = (anndata.read_h5ad(folder / f"{name}.h5ad") for name in ("unmeasured", "prediction"))
    assert not set(adata.var_names) & set(prediction.var_names)
    assert (adata.obs_names == prediction.obs_names).all()
    assert adata.uns["unmeasured"]["unit"].startswith("log1p")
    assert "never measured" in adata.uns["unmeasured"]["never_measured"]
    # per 10 000 counts of the genes that are measured
    total = whole.counts[:, PANEL].sum(axis=1)
    counts = whole.counts[:, whole.columns(adata.var_names.to_numpy(str))].toarray()
    truth = np.log1p(1e4 * counts / np.asarray(total))
    inside = np.abs(truth - adata.X) <= 1.645 * adata.layers["sd"]
    assert 0.8 < inside.mean() < 0.98
    record = json.loads((folder / "run.json").read_text())
    assert record["unmeasured"]["genes"] == adata.var_names.tolist()
    assert "unmeasured.h5ad" in record["files"]
    assert any("never measured here" in message["text"] for message in record["messages"])


def test_the_report_lists_them_apart(folder: Path) -> None:
    """The page has them under a heading of their own, with the sentence that they were never measured."""
    part = next(part for part in parts(collect(folder), []) if part.title == "Genes never measured here")
    assert part.paragraphs[0].startswith("These genes were never measured in this section")
    assert len(part.table) > 20


def test_they_are_refused_before_anything_is_written(
    measured: hs.Section, folder: Path, tmp_path: Path
) -> None:
    """Without programs, with a gene that these lack, and with programs that have no use, a sentence comes first."""
    recipe = hs.Recipe("cokriging", "positions", genes="all")
    programs = hs.programs.build(adata_of(counts_of(400) * LEVELS))
    outputs = hs.Outputs(figures=False, unmeasured="GENE99")
    with pytest.raises(UsageError, match="Give gene programs"):
        hs.run(measured, recipe, out=tmp_path / "out", outputs=outputs)
    with pytest.raises(UsageError, match="'GENE99' is not among"):
        hs.run(measured, recipe, out=tmp_path / "out", programs=programs, outputs=outputs)
    with pytest.raises(UsageError, match="give `unmeasured`"):
        predict_to_folder(measured, folder, out=tmp_path / "out", programs=programs)
    assert not (tmp_path / "out").exists()


def test_a_saved_fit_predicts_them_too(measured: hs.Section, folder: Path, tmp_path: Path) -> None:
    """`predict` with the same programs gives what the run gave, for genes that are named."""
    programs = hs.programs.build(adata_of(counts_of(400) * LEVELS))
    earlier = anndata.read_h5ad(folder / "unmeasured.h5ad")
    outputs = hs.Outputs(figures=False, unmeasured=earlier.var_names[:2].tolist())
    options = {"target": hs.Target(upsample=1), "programs": programs, "outputs": outputs}
    result = predict_to_folder(measured, folder, out=tmp_path / "out", **options)
    later = anndata.read_h5ad(result.out / "unmeasured.h5ad")
    np.testing.assert_allclose(later.X, earlier[:, later.var_names].X, atol=1e-5)


def test_programs_without_levels_give_standard_deviations(measured: hs.Section, fit: hs.Section) -> None:
    """Programs of earlier releases hold no levels: the unit is then the standard deviation of the gene."""
    programs = replace(hs.programs.build(adata_of(counts_of(400))), levels=None)
    result = hs.predict_unmeasured(fit, measured, at_spots(measured), programs)
    assert result.levels is None
    assert np.array_equal(result.expression.mean, result.prediction.mean)
