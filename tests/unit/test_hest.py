"""HEST-Benchmark: its layout, its protocols, and what stands beside its scores."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import histosge as hs
from histosge.evaluation.hest.embeddings import embeddings, encoder_of_patches
from histosge.evaluation.hest.heads import HEADS, POSITION_HEADS, Head
from histosge.evaluation.hest.rows import Rows, divided
from histosge.evaluation.hest.sample import read_sample
from histosge.evaluation.hest.scores import FoldScores
from histosge.evaluation.hest.task import find_tasks
from histosge.evaluation.hest.written_task import write_task

_GENES = 8


@pytest.fixture(scope="module")
def sections() -> list[hs.Section]:
    """Three sections of different tissue, with names of their own."""
    made = (hs.synthetic(columns=8, rows=8, genes=16, seed=seed).section for seed in range(3))
    return [replace(section, name=f"sample{number}") for number, section in enumerate(made)]


@pytest.fixture(scope="module")
def task(sections: list[hs.Section], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task made of them."""
    return write_task(sections, tmp_path_factory.mktemp("hest") / "TISSUE", genes=_GENES)


@pytest.fixture(scope="module")
def random_rows() -> tuple[Rows, Rows]:
    """Spots to fit and to predict whose features have nothing to do with their expression."""
    rng = np.random.default_rng(0)

    def rows(number: int, index: int) -> Rows:
        ids = np.array([f"{index}/{spot}" for spot in range(number)])
        targets = np.log1p(rng.poisson(3.0, (number, 50)).astype(np.float64))
        features = rng.normal(size=(number, 300)).astype(np.float32)
        return Rows(features, targets, np.full(number, index), ids, rng.uniform(0, 2000, (number, 2)))

    return rows(500, 1), rows(400, 0)


def test_a_task_made_of_sections_is_read_back(sections: list[hs.Section], task: Path) -> None:
    """Targets are log1p of the sections' raw counts, patches their image, and positions their spots."""
    (only,) = find_tasks(task)
    assert [(fold.test, len(fold.train)) for fold in only.folds] == [((s.name,), 2) for s in sections]
    section = sections[1]
    sample = read_sample(only.samples[section.name], only.genes)
    counts = section.counts[:, section.columns(only.genes)].toarray()
    assert np.array_equal(sample.targets, np.log1p(counts))
    assert np.array_equal(sample.depth, np.asarray(section.counts.sum(axis=1)).ravel())
    assert sample.positions.xy_um is not None
    assert np.abs(sample.positions.xy_um - section.spots.xy).max() <= section.mpp
    assert section.slide is not None
    column = sample.patches
    patch = column.slide(112.0).read(column.centres_um(112.0)[3], 112.0, 224)
    assert np.array_equal(patch, section.slide.read(section.spots.xy[3], 112.0, 224))


def test_the_leaderboards_protocol_is_what_its_description_says(random_rows: tuple[Rows, Rows]) -> None:
    """Standardised features, 256 components, ridge regression of penalty 100/(256·50) without an intercept."""
    fitted, asked = random_rows
    scaler = StandardScaler().fit(fitted.features.astype(np.float64))
    pca = PCA(256, random_state=1).fit(scaler.transform(fitted.features.astype(np.float64)))
    ridge = Ridge(100 / (256 * 50), fit_intercept=False, solver="lsqr", max_iter=1000, random_state=1)
    ridge.fit(pca.transform(scaler.transform(fitted.features.astype(np.float64))), fitted.targets)
    expected = ridge.predict(pca.transform(scaler.transform(asked.features.astype(np.float64))))
    assert np.array_equal(HEADS["pca-ridge"].fit(fitted)(asked), expected)


@pytest.mark.parametrize(("name", "standardised"), [("ridge", True), ("ridge-unscaled", False)])
def test_the_papers_protocol_is_what_its_description_says(
    name: str, standardised: bool, random_rows: tuple[Rows, Rows]
) -> None:
    """No components, the penalty 100/(width·50), no intercept; the solution is that of the normal equations."""
    fitted, asked = random_rows
    x, new = fitted.features.astype(np.float64), asked.features.astype(np.float64)
    if standardised:
        scaler = StandardScaler().fit(x)
        x, new = scaler.transform(x), scaler.transform(new)
    ridge = Ridge(100 / (300 * 50), fit_intercept=False, solver="lsqr", max_iter=1000, random_state=1)
    predicted = HEADS[name].fit(fitted)(asked)
    assert np.array_equal(predicted, ridge.fit(x, fitted.targets).predict(new))
    exact = new @ np.linalg.solve(x.T @ x + 100 / (300 * 50) * np.eye(300), x.T @ fitted.targets)
    # lsqr stops at a tolerance of 1e-4
    assert np.linalg.norm(predicted - exact) < 0.01 * np.linalg.norm(exact)


def test_narrow_features_have_as_many_components_as_they_can(random_rows: tuple[Rows, Rows]) -> None:
    """With 40 features the leaderboard's protocol has 40 components, and its penalty follows from them."""
    fitted, asked = (rows.with_features(rows.features[:, :40]) for rows in random_rows)
    # all components are a rotation of the standardised features, which ridge regression does not see
    scaler = StandardScaler().fit(fitted.features.astype(np.float64))
    x, new = (scaler.transform(rows.features.astype(np.float64)) for rows in (fitted, asked))
    exact = new @ np.linalg.solve(x.T @ x + 100 / (40 * 50) * np.eye(40), x.T @ fitted.targets)
    predicted = HEADS["pca-ridge"].fit(fitted)(asked)
    assert np.linalg.norm(predicted - exact) < 0.01 * np.linalg.norm(exact)


@pytest.mark.parametrize("name", HEADS)
def test_features_that_say_nothing_have_no_correlation(name: str, random_rows: tuple[Rows, Rows]) -> None:
    """The mean r over 50 genes of features of noise is 0 within its error."""
    fitted, asked = random_rows
    predicted = HEADS[name].fit(fitted)(asked)
    scores = FoldScores.of(tuple(f"g{gene}" for gene in range(50)), ("one",), [(asked.targets, predicted)])
    # the error of r of one gene is 1/√N; 50 genes and their common features leave no more than half of it. A head that
    # finds no relation may predict the mean, whose r is not defined
    assert abs(np.nan_to_num(scores.pooled).mean()) < 0.5 * 3 / np.sqrt(len(asked))


@pytest.mark.parametrize("head", [*HEADS.values(), *POSITION_HEADS.values()], ids=lambda head: head.name)
def test_a_head_does_not_read_what_it_is_scored_against(head: Head, random_rows: tuple[Rows, Rows]) -> None:
    """Predictions are the same to the last bit when the expression of the asked spots is not there."""
    others, sample = random_rows
    fitted = Rows.joined([others.take(slice(0, 200)), sample.take(slice(0, 20))])
    asked = sample.take(slice(20, None))
    without = replace(asked, targets=np.full_like(asked.targets, np.nan))
    assert np.array_equal(head.fit(fitted)(asked), head.fit(fitted)(without))


@pytest.mark.parametrize("head", POSITION_HEADS.values(), ids=lambda head: head.name)
def test_what_positions_predict_is_the_same_whatever_the_image(
    head: Head, random_rows: tuple[Rows, Rows]
) -> None:
    """Features that are not numbers change nothing; other known spots do."""
    others, sample = random_rows
    known, asked = sample.take(slice(0, 20)), sample.take(slice(20, None))
    fitted = Rows.joined([others.take(slice(0, 200)), known])
    blind = [rows.with_features(np.full_like(rows.features, np.nan)) for rows in (fitted, asked)]
    predicted = head.fit(fitted)(asked)
    assert np.array_equal(predicted, head.fit(blind[0])(blind[1]))
    changed = Rows.joined([others.take(slice(0, 200)), replace(known, targets=known.targets[::-1])])
    assert not np.allclose(predicted, head.fit(changed)(asked))


def test_inverse_distances_are_of_the_known_spots_alone(random_rows: tuple[Rows, Rows]) -> None:
    """Weights are those of squared distances to known spots of the sample; the other samples have none."""
    others, sample = random_rows
    known, asked = sample.take(slice(0, 10)), sample.take(slice(10, None))
    distance_um = np.linalg.norm(np.asarray(asked.xy_um)[:, None] - np.asarray(known.xy_um)[None], axis=2)
    weights = distance_um**-2.0 / (distance_um**-2.0).sum(axis=1, keepdims=True)
    predicted = POSITION_HEADS["inverse distances"].fit(Rows.joined([others, known]))(asked)
    assert np.allclose(predicted, weights @ known.targets)


def test_pooled_r_counts_differences_between_samples() -> None:
    """Two samples of different level, no pattern within either: r is high over both and near 0 within each."""
    rng = np.random.default_rng(1)
    parts = [(rng.normal(level, 0.1, (200, 3)), rng.normal(level, 0.1, (200, 3))) for level in (0.0, 1.0)]
    scores = FoldScores.of(("a", "b", "c"), ("low", "high"), parts)
    assert scores.mean > 0.9
    assert max(np.abs(r).max() for r in scores.by_sample.values()) < 0.3


def test_the_features_of_a_patch_are_its_own(task: Path, tmp_path: Path) -> None:
    """Patches in another order have the same features in that order: no patch reads its neighbour in the file."""
    (only,) = find_tasks(task)
    files = only.samples["sample0"]
    encoder, _ = encoder_of_patches("texture+colour")
    before = embeddings(read_sample(files, only.genes), encoder)
    copy = tmp_path / "reversed.h5"
    with h5py.File(files.patches) as file, h5py.File(copy, "w") as other:
        for name in ("img", "coords", "barcode"):
            other.create_dataset(name, data=file[name][()][::-1])
            other[name].attrs.update(dict(file[name].attrs))
    after = embeddings(read_sample(replace(files, patches=copy), only.genes), encoder)
    assert np.array_equal(after, before[::-1])


def test_known_spots_are_nested_and_never_scored(random_rows: tuple[Rows, Rows]) -> None:
    """Scored and known spots are disjoint, and follow from barcodes and seed, not from the order of the rows."""
    rows = random_rows[1]
    scored, known = divided(rows, 3)
    assert not set(scored.tolist()) & set(known.tolist())
    assert len(scored) + len(known) == len(rows)
    backwards = rows.take(slice(None, None, -1))
    assert backwards.ids[divided(backwards, 3)[1]].tolist() == rows.ids[known].tolist()
    assert divided(rows, 4)[1].tolist() != known.tolist()


def test_files_are_those_of_the_benchmark(task: Path, tmp_path: Path) -> None:
    """Every head has the benchmark's tree of JSON files, and its means agree with the table."""
    heads = ["pca-ridge", "cokriging"]
    result = hs.hest(task.parent, tmp_path / "out", heads=heads, known=(10,), encoders=["colour"])
    summary = result.summary().set_index(["head", "known"])
    for head in heads:
        top = tmp_path / "out" / "results" / "official" / head
        results = json.loads((top / "TISSUE" / "colour" / "split2" / "results.json").read_text())
        assert {"l2_errors", "r2_scores", "pearson_corrs", "pearson_mean", "pearson_std"} <= set(results)
        assert len(results["pearson_corrs"]) == _GENES
        folds = json.loads((top / "TISSUE" / "colour" / "results_kfold.json").read_text())
        assert np.isclose(folds["pearson_mean"], summary.loc[(head, "0"), "pooled"])
        dataset = json.loads((top / "dataset_results.json").read_text())
        assert dataset["average"]["colour"] == folds["pearson_mean"]
        with (top / "dataset_results.csv").open(newline="") as file:
            assert [row[0] for row in csv.reader(file)] == ["dataset", "TISSUE", "Average"]
    assert {"noise ceiling", "shuffled patches", "level of samples"} <= set(result.scores["head"])
    assert set(result.scores["known"]) == {"0", "10 of half"}
    # the score that counts differences between samples has nothing to show where a fold has one test sample
    assert np.isnan(summary.loc[("level of samples", "0"), "pooled"])
    assert summary.loc[("noise ceiling", "0"), "pooled"] > summary.loc[("pca-ridge", "0"), "pooled"]


def test_a_wrong_task_is_refused(task: Path, tmp_path: Path) -> None:
    """Folders without a task, unknown names, encoders of slides and numbers below 0 are refused by sentences."""
    with pytest.raises(hs.UsageError, match="Expected a task of HEST-Benchmark"):
        hs.hest(tmp_path, tmp_path / "out")
    with pytest.raises(hs.UsageError, match="no task 'IDC'"):
        hs.hest(task, tmp_path / "out", tasks=["IDC"])
    with pytest.raises(hs.UsageError, match="no head named 'forest'"):
        hs.hest(task, tmp_path / "out", heads=["forest"])
    with pytest.raises(hs.UsageError, match="needs a slide"):
        hs.hest(task, tmp_path / "out", encoders=["texture@dense"])
    with pytest.raises(hs.UsageError, match="got '-1'"):
        hs.hest(task, tmp_path / "out", known=[-1])
    assert not (tmp_path / "out" / "results").exists()


def test_a_spot_without_counts_is_refused(sections: list[hs.Section], tmp_path: Path) -> None:
    """Patches and counts of different samples, a sample on both sides of a fold, and damaged files are refused."""
    folder = write_task(sections[:2], tmp_path / "TISSUE", genes=_GENES)
    split = folder / "splits" / "train_0.csv"
    split.write_text(split.read_text().replace("sample1", "sample0"))
    with pytest.raises(hs.DataError, match="'sample0' is among those to fit and those to score"):
        find_tasks(folder)
    split.write_text(split.read_text().replace("sample0", "sample1"))
    swapped = (folder / "adata" / "sample1.h5ad").rename(folder / "adata" / "other.h5ad")
    with pytest.raises(hs.DataError, match="which is missing"):
        hs.hest(folder, tmp_path / "out")
    with h5py.File(folder / "patches" / "sample1.h5", "r+") as file:
        file["barcode"][0] = "NOT-A-SPOT"
    swapped.rename(folder / "adata" / "sample1.h5ad")
    with pytest.raises(hs.DataError, match="'NOT-A-SPOT'"):
        hs.hest(folder, tmp_path / "out")
    patches = folder / "patches" / "sample1.h5"
    patches.write_bytes(patches.read_bytes()[:5000])
    with pytest.raises(hs.DataError, match="damaged or no HDF5"):
        hs.hest(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "results").exists()
