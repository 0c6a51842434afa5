"""Run HEST-Benchmark: every task, encoder and head; without and with known spots of the predicted sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histosge._runtime.types import Array
from histosge.encoders.base import Encoder
from histosge.errors import UsageError
from histosge.workflow.compute import Compute

from .embeddings import embeddings, encoder_of_patches
from .heads import HEADS, Head, heads_of
from .result import BESIDE, HestResult
from .result_files import OfficialFold, write_result
from .rows import Rows, divided
from .scores import FoldScores, ceiling_of, level_of
from .task import Fold, Sample, Task, find_tasks, read_sample

__all__ = ["hest"]

#: all spots that may be known
_HALF = "half"
_CEILING, _LEVEL, _SHUFFLED = BESIDE
_FEATURES, _RESULTS = "features", "results"


@dataclass(frozen=True, slots=True, eq=False)
class _Fold:
    """A fold with the features of one encoder."""

    task: Task
    fold: Fold
    samples: dict[str, Sample]
    rows: dict[str, Rows]
    seed: int

    @property
    def fitted(self) -> Rows:
        return Rows.joined([self.rows[name] for name in self.fold.train])

    @property
    def asked(self) -> list[Rows]:
        return [self.rows[name] for name in self.fold.test]

    def scores(self, predicted: Sequence[Array], asked: Sequence[Rows] | None = None) -> FoldScores:
        """Score the predictions of the test samples, at all of their spots or at those asked for."""
        truth = [part.targets for part in asked or self.asked]
        return FoldScores.of(self.task.genes, self.fold.test, list(zip(truth, predicted, strict=True)))

    def shuffled(self) -> Rows:
        """Return the fitted spots with the features of other spots of their sample."""
        rows = self.fitted
        rng, order = np.random.default_rng([self.seed, self.fold.number]), np.arange(len(rows))
        for index in np.unique(rows.sample):
            some = np.flatnonzero(rows.sample == index)
            order[some] = rng.permutation(some)
        return rows.with_features(rows.features[order])


def hest(
    folder: Path | str,
    out: Path | str,
    *,
    encoders: Sequence[str] = ("texture",),
    heads: Sequence[str] = tuple(HEADS),
    tasks: Sequence[str] = (),
    known: Sequence[int | str] = (),
    compute: Compute = Compute(),
    seed: int = 0,
) -> HestResult:
    """Run HEST-Benchmark (Jaume et al. 2024), its two protocols and others, and write its files and ours.

    Features of patches are standardised and regressed on log1p of the raw counts of 50 genes. The benchmark scores r
    over the spots of all test samples of a fold together; here r within each sample stands beside it, with what the
    level of the samples alone reaches, what shuffled patches reach, and the noise ceiling.

    Parameters
    ----------
    folder
        The data set ``MahmoodLab/hest-bench``, or one of its tasks: ``patches``, ``adata``, ``splits`` and
        ``var_50genes.json``.
    out
        Receives ``results/`` (the benchmark's JSON files, a table, a page), and ``features/``, which a later run
        reuses.
    encoders
        Names in :data:`histosge.encoders.ENCODERS`; ``texture`` needs no weights.
    heads
        Names in :data:`histosge.evaluation.hest.heads.HEADS`.
    tasks
        Only these; empty: all that are there.
    known
        A second track: numbers of spots of each test sample that are known, or ``"half"``. Scores are of the other
        half of the spots, the same for every number.
    compute
        Device, precision, weights and progress.
    seed
        Of known spots, shuffled patches and the noise ceiling; the protocols of the benchmark have their own.

    Raises
    ------
    UsageError
        For names that there are not, and numbers of spots below 0.
    DataError
        For incomplete or damaged tasks.
    """
    numbers, chosen = _known(known), heads_of(tuple(heads))
    if not encoders or not chosen:
        raise UsageError("Expected one encoder and one head at least. Give `encoders` and `heads`.")
    planned, out = find_tasks(Path(folder), tuple(tasks)), Path(out)
    compute = compute.with_store(out / _FEATURES)
    table: list[dict[str, object]] = []
    official: list[OfficialFold] = []
    for name in encoders:
        encoder = encoder_of_patches(name, compute)
        for task in planned:
            for fold in _folds(task, encoder, chosen, compute=compute, seed=seed):
                labels = {"task": task.name, "encoder": name, "fold": fold.fold.number}
                for head in chosen:
                    scores, predicted = _first_track(fold, head)
                    table += _lines(scores, labels | {"head": head.name, "known": "0"})
                    official.append(
                        OfficialFold.of(fold.task, fold.fold, name, head.name, scores, fold.asked, predicted)
                    )
                table += _beside(fold, labels)
                table += _second_track(fold, chosen, numbers, labels)
    return write_result(HestResult.of(table), official, out / _RESULTS, seed=seed)


def _folds(
    task: Task, encoder: Encoder, heads: Sequence[Head], *, compute: Compute, seed: int
) -> Iterator[_Fold]:
    """Read the samples of a task, each once, and yield its folds.

    Raises
    ------
    UsageError
        Before anything is encoded, where a head reads positions that a sample does not have.
    """
    samples = {name: read_sample(files, task.genes) for name, files in task.samples.items()}
    reading = [head.name for head in heads if head.reads_positions]
    without = [name for name, sample in samples.items() if sample.xy_um is None]
    if reading and without:
        raise UsageError(
            f"The head '{reading[0]}' needs positions in µm, and the patches of '{without[0]}' do not say how wide "
            "their pixels are (`pixel_size` or `patch_size_src`). Leave it out of `heads`."
        )
    rows = {
        name: Rows.of(sample, embeddings(sample, encoder, compute), index)
        for index, (name, sample) in enumerate(samples.items())
    }
    for fold in task.folds:
        yield _Fold(task, fold, samples, rows, seed)


def _first_track(fold: _Fold, head: Head) -> tuple[FoldScores, list[Array]]:
    """Predict the test samples from others alone, as the benchmark does."""
    predict = head.fit(fold.fitted)
    predicted = [predict(part) for part in fold.asked]
    return fold.scores(predicted), predicted


def _beside(fold: _Fold, labels: dict[str, object]) -> list[dict[str, object]]:
    """Return what stands beside every score: no relation to the image, no pattern in a sample, no error but noise."""
    predict, shuffled = (HEADS["pca-ridge"].fit(rows) for rows in (fold.fitted, fold.shuffled()))
    samples = [fold.samples[name] for name in fold.fold.test]
    beside = {
        _SHUFFLED: fold.scores([shuffled(part) for part in fold.asked]),
        _LEVEL: fold.scores([level_of(predict(part)) for part in fold.asked]),
        _CEILING: ceiling_of(fold.task.genes, samples, fold.asked, fold.seed),
    }
    return [
        line
        for name, scores in beside.items()
        for line in _lines(scores, labels | {"head": name, "known": "0"})
    ]


def _second_track(
    fold: _Fold, heads: Sequence[Head], numbers: Sequence[int | str], labels: dict[str, object]
) -> list[dict[str, object]]:
    """Predict half of the spots of each test sample, with so many of its other half known."""
    lines: list[dict[str, object]] = []
    parts = [divided(part, fold.seed) for part in fold.asked]
    asked = [part.take(scored) for part, (scored, _) in zip(fold.asked, parts, strict=True)]
    for number in numbers:
        fitted = [
            Rows.joined([fold.fitted, part.take(others if number == _HALF else others[: int(number)])])
            for part, (_, others) in zip(fold.asked, parts, strict=True)
        ]
        for head in heads:
            predicted = [head.fit(some)(spots) for some, spots in zip(fitted, asked, strict=True)]
            scores = fold.scores(predicted, asked)
            lines += _lines(scores, labels | {"head": head.name, "known": f"{number} of half"})
    return lines


def _lines(scores: FoldScores, labels: dict[str, object]) -> list[dict[str, object]]:
    return [labels | line for line in scores.tidy()]


def _known(known: Sequence[int | str]) -> list[int | str]:
    """Return the numbers of known spots.

    Raises
    ------
    UsageError
        For anything but a number of 0 or more, or ``half``.
    """
    numbers: list[int | str] = []
    for value in known:
        if str(value) != _HALF and not str(value).isdigit():
            raise UsageError(f"Expected numbers of spots or '{_HALF}' in `known`, got '{value}'.")
        numbers.append(_HALF if str(value) == _HALF else int(value))
    return numbers
