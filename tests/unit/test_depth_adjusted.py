"""Expression at the mean depth: the adjustment, what is fitted to it, and what is refused of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, make_dataclass, replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

import histosge as hs
from histosge._runtime.hashing import fingerprint
from histosge.cli import commands
from histosge.datasets.synthetic import write_spaceranger
from histosge.errors import UsageError
from histosge.evaluation.plan import Plan
from histosge.evaluation.plan_file import parse_plan
from histosge.evaluation.study import Study, choose_genes, encode_study, gather_samples
from histosge.metrics.given_depth import partial_correlation
from histosge.models.base import predict
from histosge.prediction.mean_depth import AT_MEAN_DEPTH
from histosge.report.contents import collect
from histosge.report.panel import headline, parts
from histosge.section.depth_adjusted import depth_adjusted
from histosge.section.expression import depth, log_cp10k, log_depth
from histosge.workflow.fit import Fit
from histosge.workflow.fit_metadata import FitMetadata

SECTION = hs.synthetic(columns=10, rows=10, genes=40, seed=2).section
RECIPE = hs.Recipe("cokriging", "positions", genes="hvg:24", depth_adjusted=True)


@pytest.fixture(scope="module")
def fit() -> Fit:
    """Return a fit at the mean depth."""
    return hs.fit(SECTION, RECIPE)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of the command line with ``--depth-adjusted``."""
    folder = tmp_path_factory.mktemp("adjusted")
    write_spaceranger(SECTION, folder / "outs")
    words = ["run", folder / "outs", "--out", folder / "out", "--preset", "positions", "--genes", "hvg:24"]
    words += ["--upsample", "2", "--no-figures", "--depth-adjusted"]
    result = CliRunner().invoke(commands(), [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert " ".join(AT_MEAN_DEPTH.split()[:6]) in " ".join(result.output.split())
    return folder / "out"


def correlation_with_depth(values: np.ndarray, log_depths: np.ndarray) -> np.ndarray:
    return np.array([np.corrcoef(column, log_depths)[0, 1] for column in values.T])


def test_adjusted_values_are_uncorrelated_with_log_depth() -> None:
    """After the adjustment no gene of any section follows log depth, and every gene keeps its mean."""
    other = hs.synthetic(columns=8, rows=9, genes=40, seed=5).section
    sections = np.repeat([0, 1], [len(SECTION), len(other)])
    values = np.concatenate([log_cp10k(part.counts).toarray() for part in (SECTION, other)])
    total = np.concatenate([depth(part.counts) for part in (SECTION, other)])
    adjusted = depth_adjusted(values, total, sections=sections)
    for index in (0, 1):
        rows = sections == index
        assert np.abs(correlation_with_depth(values[rows], log_depth(total[rows]))).max() > 0.1
        np.testing.assert_allclose(
            correlation_with_depth(adjusted[rows], log_depth(total[rows])), 0, atol=1e-10
        )
        np.testing.assert_allclose(adjusted[rows].mean(axis=0), values[rows].mean(axis=0), atol=1e-10)


def test_the_slope_is_that_of_least_squares() -> None:
    """The line that is taken away is NumPy's, at the mean log depth."""
    values, total = log_cp10k(SECTION.counts).toarray(), depth(SECTION.counts)
    line = np.polynomial.polynomial.polyfit(log_depth(total), values, 1)
    expected = values - np.outer(log_depth(total) - log_depth(total).mean(), line[1])
    np.testing.assert_allclose(depth_adjusted(values, total), expected, atol=1e-9)


def test_equal_depths_change_nothing() -> None:
    """Where depth is constant, up to rounding, values stay as they are."""
    values = log_cp10k(SECTION.counts).toarray()
    total = np.full(len(values), 3000.1) * (1 + 1e-15 * np.arange(len(values)))
    np.testing.assert_array_equal(depth_adjusted(values, total), values)
    assert depth_adjusted(values[:0], total[:0]).shape == (0, 40)


def test_the_order_of_rows_does_not_matter() -> None:
    """Spots in another order have the same values."""
    values, total = log_cp10k(SECTION.counts).toarray(), depth(SECTION.counts)
    order = np.random.default_rng(0).permutation(len(values))
    turned = depth_adjusted(values[order], total[order])
    np.testing.assert_allclose(turned, depth_adjusted(values, total)[order], atol=1e-10)


def test_the_adjustment_knows_training_spots_alone() -> None:
    """Counts of test spots change nothing that is fitted, and what was measured stays beside it."""
    study = replace(Study.of(SECTION, genes="all"), depth_adjusted=True)
    counts = SECTION.counts.toarray()
    counts[study.test] = np.roll(counts[study.test], 1, axis=0) * 3
    changed = replace(study, target=replace(SECTION, counts=type(SECTION.counts)(counts)))
    panel, inputs = choose_genes(study), encode_study(study, RECIPE)
    samples, other = (gather_samples(each, panel, inputs) for each in (study, changed))
    np.testing.assert_array_equal(samples.expression, other.expression)
    measured = gather_samples(replace(study, depth_adjusted=False), panel, inputs)
    np.testing.assert_array_equal(samples.log_cp10k, measured.expression)
    assert np.abs(samples.expression - measured.expression).max() > 0.05
    some = samples.take(np.arange(5))
    np.testing.assert_array_equal(some.log_cp10k, measured.expression[:5])


def depth_driven() -> hs.Section:
    """Return a section whose depth rises sixteenfold over the tissue."""
    section = hs.synthetic(columns=14, rows=14, genes=40, seed=3).section
    x = section.spots.xy[:, 0]
    kept = 2.0 ** (-4 * (x - x.min()) / np.ptp(x))
    counts = np.random.default_rng(0).binomial(section.counts.toarray().astype(int), kept[:, None])
    return replace(section, counts=type(section.counts)(counts))


def test_r_is_nearly_r_given_depth() -> None:
    """Of a section whose depth has a gradient, r at spots left out is nearer to r given depth than by default."""
    section = depth_driven()
    gaps, given = [], []
    for adjusted in (False, True):
        summary = hs.fit(section, replace(RECIPE, genes="all", depth_adjusted=adjusted)).predictor.summary()
        gaps.append(abs(summary["mean_r_loo"] - summary["mean_r_loo_given_depth"]))
        given.append(summary["mean_r_loo_given_depth"])
        assert summary["expressed_genes"] <= ((section.counts > 0).mean(axis=0) > 0).sum()
    assert gaps[1] < gaps[0]


def scores(section: hs.Section, *, adjusted: bool) -> tuple[float, float]:
    """Return mean r given depth at test spots, and how far predictions there follow the depth."""
    study = replace(Study.of(section, genes="all"), depth_adjusted=adjusted)
    panel, inputs = choose_genes(study), encode_study(study, RECIPE)
    predictor = RECIPE.build().fit(gather_samples(study, panel, inputs))
    mean = predict(predictor, inputs.take(study.test)).mean.astype(np.float64)
    total = log_depth(depth(section.counts))[study.test]
    measured = log_cp10k(section.counts, columns=panel.columns).toarray()[study.test]
    given_depth = np.nan_to_num(partial_correlation(measured, mean, total)).mean()
    return float(given_depth), float(np.abs(correlation_with_depth(mean, total)).mean())


def test_where_depth_is_noise_nothing_is_lost() -> None:
    """On the synthetic section r given depth at test spots is that of the default, to 0.02."""
    section = hs.synthetic(columns=14, rows=14, genes=40, seed=3).section
    assert scores(section, adjusted=True)[0] > scores(section, adjusted=False)[0] - 0.02


def test_maps_follow_the_depth_less() -> None:
    """Where depth has a gradient, predictions at test spots correlate less with it."""
    section = depth_driven()
    assert scores(section, adjusted=True)[1] < scores(section, adjusted=False)[1]


def test_genes_outside_the_panel_are_adjusted_too(fit: Fit) -> None:
    """Their offsets and loadings are those of a regression of adjusted values."""
    from histosge.prediction.unfitted_genes import regress

    inputs = encode_study(Study.of(SECTION, genes="all"), RECIPE)
    basis = fit.completed(fit.predictor.factored(inputs).basis, SECTION)
    outside = basis.genes[24:]
    assert len(outside) == 16
    score, sd = fit.predictor.left_out_scores()
    values = log_cp10k(SECTION.counts, columns=SECTION.columns(outside)).toarray()
    adjusted = depth_adjusted(values, depth(SECTION.counts))
    expected = regress(outside, type(SECTION.counts)(adjusted), score, score_sd=sd)
    np.testing.assert_allclose(basis.loadings[24:], expected.loadings, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(basis.offset[24:], expected.offset, rtol=1e-4)


def test_a_recipe_comes_back_and_older_ones_keep_their_hash(tmp_path: Path, fit: Fit) -> None:
    """The option is part of a recipe, of its hash and of a fit; recipes without it hash as before there was one."""
    assert hs.Recipe.from_dict(json.loads(json.dumps(RECIPE.as_dict()))) == RECIPE
    plain = replace(RECIPE, depth_adjusted=False)
    assert plain.fingerprint != RECIPE.fingerprint
    assert RECIPE.variant == "positions, depth-adjusted"
    fit.metadata.write(tmp_path)
    assert FitMetadata.read(tmp_path).recipe.depth_adjusted
    assert replace(fit.metadata, recipe=plain).key(None) != fit.metadata.key(None)
    # a class of the same name without the field, as it was before
    names = [item.name for item in fields(hs.Recipe) if item.name != "depth_adjusted"]
    older = make_dataclass("Recipe", names)(*(getattr(plain, name) for name in names))
    assert fingerprint(older) == plain.fingerprint
    record = json.loads((tmp_path / "fit.json").read_text())
    assert record["recipe"]["depth_adjusted"] is True


def test_plans_say_which_models_are_adjusted() -> None:
    """A plan adjusts all of its models or single ones, and never the baselines."""
    plan = Plan((SECTION,), ("ridge", "cokriging"), depth_adjusted=True)
    assert {recipe.model for recipe in plan.recipes if recipe.depth_adjusted} == {"ridge", "cokriging"}
    assert len([recipe for recipe in plan.recipes if recipe.model == "ridge"]) == 2
    both = {"sections": ["a"], "models": ["cokriging", {"model": "cokriging", "depth_adjusted": True}]}
    recipes = [recipe for recipe in parse_plan(both, Path()).recipes if recipe.model == "cokriging"]
    assert [recipe.depth_adjusted for recipe in recipes] == [False, True]
    with pytest.raises(UsageError, match="depth_adjusted"):
        parse_plan({"sections": ["a"], "models": ["cokriging"], "depth_adjusted": "yes"}, Path())


def test_an_evaluation_compares_with_what_was_measured() -> None:
    """Adjusted models stand in rows of their own, without intervals; the truth and its ceiling are the same."""
    options: dict[str, Any] = {"seeds": 1, "genes": "all", "baselines": False}
    both = [replace(RECIPE, genes="all"), replace(RECIPE, genes="all", depth_adjusted=False)]
    small = hs.synthetic(columns=8, rows=8, genes=12).section
    result = hs.evaluate(small, both, **options)
    adjusted, plain = result.select(set="test", model="cokriging")
    assert (adjusted.preset, plain.preset) == ("positions, depth-adjusted", "positions")
    assert adjusted["ceiling"] == plain["ceiling"]
    assert adjusted["pcc"] != plain["pcc"]
    assert {name for name in plain.values if "coverage" in name}
    assert not {name for name in adjusted.values if "coverage" in name}


REFUSALS: dict[str, Callable[[Fit], object]] = {
    "Detection": lambda fit: hs.detect(fit, SECTION, str(fit.genes[0]), above="1x", tile_um=100),
    "The effective resolution": lambda fit: hs.effective_resolution(fit, SECTION),
    "Conserving counts": lambda fit: hs.conserve(hs.predict(fit, SECTION, hs.upsampled(SECTION, 2)), SECTION),
    "Prediction of unmeasured genes": lambda fit: hs.predict_unmeasured(
        fit, SECTION, hs.upsampled(SECTION, 2), []
    ),
}


@pytest.mark.parametrize("subject", REFUSALS)
def test_what_needs_measured_values_is_refused(fit: Fit, subject: str) -> None:
    """What compares with measurements as they are ends with one sentence."""
    with pytest.raises(UsageError, match=f"{subject}.*`depth_adjusted`"):
        REFUSALS[subject](fit)


def test_regions_of_adjusted_maps_are_not_compared(ran: Path) -> None:
    """``hs.tl.compare`` refuses a prediction at the mean depth."""
    adata = anndata.read_h5ad(ran / "prediction.h5ad")
    with pytest.raises(UsageError, match=r"A comparison.*`depth_adjusted`"):
        hs.tl.compare(adata, np.where(np.arange(len(adata)) % 2 == 0, "a", "b"))


def test_files_and_words_say_so(ran: Path) -> None:
    """``--depth-adjusted`` is in run.json, fit.json, prediction.h5ad and the words of the report."""
    record = json.loads((ran / "run.json").read_text())
    assert record["recipe"]["depth_adjusted"] is True
    assert AT_MEAN_DEPTH in record["accuracy"]
    assert json.loads((ran / "fit" / "fit.json").read_text())["recipe"]["depth_adjusted"] is True
    adata = anndata.read_h5ad(ran / "prediction.h5ad")
    about = adata.uns["histosge"]
    assert about["recipe"]["depth_adjusted"]
    assert "mean log depth" in about["layout"]["about"]["X"]
    assert "not adjusted" in about["layout"]["about"]["layers_measured"]
    contents = collect(ran)
    assert "mean depth" in dict(headline(contents))["Predicted"]
    assert any(AT_MEAN_DEPTH in part.paragraphs for part in parts(contents, []))
    assert "adjusted for depth" in str(contents.means)


def test_counts_of_a_run_are_not_conserved(ran: Path, tmp_path: Path) -> None:
    """``export --conserve`` refuses it, and writes nothing."""
    with pytest.raises(UsageError, match="Conserving counts"):
        hs.export(ran, tmp_path / "some.h5ad", conserve="real")
    assert not list(tmp_path.iterdir())
