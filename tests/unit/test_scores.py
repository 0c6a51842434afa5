"""Scores of an evaluation: the tidy table, its summary, and the tables for readers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from histosge.cli import screen
from histosge.datasets import synthetic
from histosge.evaluation.captions import captions, score_genes
from histosge.evaluation.plan import Plan
from histosge.evaluation.result import EvaluationResult
from histosge.evaluation.scores import score, summary, tidy
from histosge.evaluation.tables import COLUMNS, markdown, model_label, screen_table, table_rows
from histosge.metrics import Comparison
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import pearson
from histosge.models.base import predict as predict_with
from histosge.models.baselines.depth import Depth
from histosge.section.genes import select
from histosge.section.inputs import Inputs
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.fit import fit
from histosge.workflow.predict import predict
from histosge.workflow.recipe import Recipe

GENES = np.array(["A", "B", "C"])


def labels(model: str, seed: int = 0, split: str = "random:0.5") -> dict[str, object]:
    return {"section": "S", "split": split, "model": model, "preset": "", "encoder": "", "seed": seed}


def genes() -> pd.DataFrame:
    """What is known of three genes whatever model is scored."""
    known = pd.DataFrame({"gene": GENES, "expression": np.arange(3.0), "ceiling": [0.8, 0.4, 0.4]})
    return known.assign(section="S", split="random:0.5", seed=0)


def frame() -> pd.DataFrame:
    """Two models on three genes: kriging, and a model with half its error and one undefined correlation."""
    rng = np.random.default_rng(0)
    mse = rng.uniform(1, 2, 3)
    parts = [tidy({("test", "mse"): mse, ("test", "pcc"): np.full(3, 0.2)}, GENES, labels("kriging"))]
    pcc = np.array([0.4, np.nan, 0.2])
    parts.append(tidy({("test", "mse"): mse / 2, ("test", "pcc"): pcc}, GENES, labels("model")))
    return pd.concat(parts, ignore_index=True)


def test_the_summary_is_what_its_docstring_says() -> None:
    """Undefined correlations count 0 or are dropped; skill is against kriging; the ceiling is a fraction reached."""
    kriging, model = summary(frame(), genes())
    assert (kriging.model, model.model) == ("kriging", "model")
    assert kriging["skill"] == 0
    assert model["skill"] == pytest.approx(0.5)
    assert model["skill_positive"] == 1
    assert model["pcc"] == pytest.approx(0.2)
    assert model["pcc_defined"] == pytest.approx(0.3)
    assert model["pcc_undefined"] == pytest.approx(1 / 3)
    assert model["of_ceiling"] == pytest.approx(0.6 / 1.6)
    assert [model[f"pcc_{tercile}"] for tercile in ("low", "middle", "high")] == pytest.approx([0.4, 0, 0.2])
    assert "pcc_sd" not in model.values


def test_seeds_are_averaged_with_their_standard_deviation() -> None:
    """A row is the mean over seeds; a score that is undefined in one seed is that of the others."""
    parts = [
        tidy({("test", "mse"): np.full(3, value)}, GENES, labels("mean", seed))
        for seed, value in enumerate((1.0, 3.0))
    ]
    (row,) = summary(pd.concat(parts, ignore_index=True), genes())
    assert (row.seeds, row["mse"], row["mse_sd"]) == (2, 2.0, pytest.approx(2**0.5))


def test_sets_are_scored_apart() -> None:
    """Each score set uses its own rows, an empty one has no scores, and slow metrics use test spots alone."""
    truth = np.random.default_rng(0).gamma(2.0, 1.0, (20, 3))
    comparison = Comparison(truth, truth + np.where(np.arange(20) < 10, 0.0, 1.0)[:, None])
    rows = np.arange(20)
    values = score(comparison, {"test": rows[10:], "training": rows[:10], "pooled": rows})
    assert values["training", "mse"].tolist() == [0, 0, 0]
    assert values["test", "mse"].tolist() == [1, 1, 1]
    assert values["pooled", "mse"].tolist() == [0.5, 0.5, 0.5]
    assert ("test", "spearman") in values
    assert ("training", "spearman") not in values
    assert {name for name, _ in score(comparison, {"test": rows, "training": rows[:0], "pooled": rows})} == {
        "test",
        "pooled",
    }


def test_the_best_model_comes_first_in_a_table() -> None:
    """Rows are sorted by the correlation at test spots; scores that are missing are dashes."""
    scores = frame()
    result = EvaluationResult(
        Plan(["S"], description="A note."), scores, genes(), pd.DataFrame(), summary(scores, genes()), ()
    )
    rows = table_rows(result, "S", "random:0.5")
    assert [row[0] for row in rows] == ["kriging", "model"]
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[1][COLUMNS.index("undefined")] == "33 %"
    assert rows[1][COLUMNS.index("PCC pooled")] == "–"
    assert markdown(result).startswith("> A note.")
    assert list(result.to_frame()["model"]) == ["kriging", "model"]


def test_epochs_and_windows_stand_in_a_table_where_any_model_has_them() -> None:
    """The span over seeds, dashes for other models, and no column that would be empty."""
    scores = frame()
    fits = pd.DataFrame([labels("kriging"), labels("model"), labels("model", 1)]).assign(
        skipped="", windows_um=["", "55, 110", "55, 110"], epochs=[None, 47, 53], best_epoch=[None, 32, 38]
    )
    result = EvaluationResult(Plan(["S"]), scores, genes(), fits, summary(scores, genes()), ())
    lines = markdown(result).splitlines()
    assert "| epochs (kept) | windows, µm | fit s |" in lines[2]
    assert lines[4].startswith("| kriging |")
    assert "| – | – |" in lines[4]
    assert "| 47–53 (32–38) | 55, 110 |" in lines[5]
    without = replace(result, fits=fits.assign(epochs=None, best_epoch=None))
    assert "| PCC pooled | windows, µm | fit s |" in markdown(without)


def test_a_terminal_shows_epochs_and_windows_where_any_model_has_them() -> None:
    """Of several windows it names the narrowest and the widest."""
    scores = frame()
    fits = pd.DataFrame([labels("kriging"), labels("model"), labels("model", 1)]).assign(
        skipped="", windows_um=["", "28, 56, 448", "100"], epochs=[None, 47, 53], best_epoch=[None, 32, 38]
    )
    result = EvaluationResult(Plan(["S"]), scores, genes(), fits, summary(scores, genes()), ())
    columns, rows = screen_table(result, "S", "random:0.5")
    assert columns[-3:] == ("epochs (kept)", "windows, µm", "fit s")
    assert [row[-3:-1] for row in rows] == [("–", "–"), ("47–53 (32–38)", "28–448 / 100")]
    columns, rows = screen_table(
        replace(result, fits=fits.assign(epochs=None, best_epoch=None)), "S", "random:0.5"
    )
    assert columns[-2:] == ("windows, µm", "fit s")
    assert {len(row) for row in rows} == {len(columns)}


def test_a_table_of_scores_fits_into_a_terminal_of_120_letters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Headings are broken before the names of models and the scores are: each model has one line."""
    values = ("0.1059 ± 0.0738", "0.0741", "100 %", "-0.167", "14 %", "52–68 (37–53)", "33.33–400", "120.1")
    columns = ("model", "PCC test", "given depth", "undefined", "skill", "of ceiling", "epochs (kept)")
    monkeypatch.setattr(screen, "_PAGE", 120)
    names = ("histosge (published)", "idw (neighbours=40)")
    screen.print_table("S", (*columns, "windows, µm", "fit s"), [(name, *values) for name in names])
    title, _, first, second, _, *rows, _ = capsys.readouterr().out.splitlines()
    assert len(title) <= 120
    assert "given" in first
    assert "depth" in second
    assert [[part.strip() for part in row.strip("│").split("│")] for row in rows] == [
        [name, *values] for name in names
    ]


def test_a_row_names_what_differs_from_the_default() -> None:
    """Preset, encoder and initialisation follow the model in brackets; the default encoder is left out."""
    assert model_label(("ridge", "", "texture"), {}) == "ridge"
    label = model_label(("stnet", "paper", "uni"), {"stnet paper": "random initialisation"})
    assert label == "stnet (paper, uni, random initialisation)"


def test_captions_give_scores_at_test_spots() -> None:
    """Each panel has Moran's I; the first has correlation and coverage where the recipe was scored."""
    section = synthetic(columns=10, rows=10, genes=12).section
    recipe, genes = Recipe(genes="all"), [str(section.genes[0])]
    prediction = predict(fit(section, recipe), section, at_spots(section))
    scores = score_genes(section, recipe, genes)
    ((score_text, measured, predicted),) = captions(section, [("", prediction)], genes, scores=scores)
    assert f"r {scores[genes[0]].pcc:.2f}" in score_text
    assert "90 % interval covers" in score_text
    assert measured.startswith("Moran's I")
    assert "at the spots" in predicted
    ((score_text, *_),) = captions(section, [("", prediction)], genes, scores=None)
    assert score_text == "test spots: not computed"


def test_a_model_without_intervals_has_no_coverage() -> None:
    """Memorisation predicts the mean at test spots: r is undefined there, and it has no interval."""
    section = synthetic(columns=10, rows=10, genes=12).section
    gene = str(section.genes[0])
    score = score_genes(section, Recipe("memorisation", genes="all"), [gene])[gene]
    assert np.isnan(score.pcc)
    assert score.coverage is None


def test_depth_alone_scores_well_where_expression_is_depth_and_not_given_depth() -> None:
    """Where genes follow total counts that vary smoothly, the baseline reaches them, and nothing given depth."""
    section = synthetic(columns=14, rows=14, genes=12).section
    samples = samples_of(section, select(section, "all"), Inputs(at_spots(section)))
    depth = 2000 * np.exp(np.sin(section.spots.xy[:, 0] / 400))
    noise = np.random.default_rng(0).normal(0, 0.2, samples.expression.shape)
    samples = replace(samples, expression=2 + np.log(depth)[:, None] + noise, depth=depth)
    predictor = Depth().fit(samples.take(np.arange(0, len(section), 2)))
    odd = samples.take(np.arange(1, len(section), 2))
    prediction = predict_with(predictor, odd.inputs)
    assert pearson(odd.expression, prediction.mean).min() > 0.8
    assert abs(partial_correlation(odd.expression, prediction.mean, np.log(odd.depth)).mean()) < 0.1
    # the residual of the line, and a little of the depth
    assert prediction.sd is not None
    assert np.allclose(prediction.sd, 0.2, atol=0.08)


def test_each_correlation_has_a_twin_given_depth() -> None:
    """Undefined values count 0 in the mean, and the fraction of the ceiling given depth is that of the twin."""
    scores = frame()
    twin = tidy({("test", "pcc_given_depth"): np.array([0.3, np.nan, 0.0])}, GENES, labels("model"))
    known = genes().assign(ceiling_given_depth=0.5)
    _, model = summary(pd.concat([scores, twin], ignore_index=True), known)
    assert model["pcc_given_depth"] == pytest.approx(0.1)
    assert model["of_ceiling_given_depth"] == pytest.approx(0.2)
    assert model["of_ceiling"] == pytest.approx(0.6 / 1.6)
