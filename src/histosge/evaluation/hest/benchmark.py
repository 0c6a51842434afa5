"""Run HEST-Benchmark: every task, encoder and head; without and with known spots of the predicted sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from histosge._runtime.atomic_files import refuse_foreign_folder, writable_folder
from histosge._runtime.messages import Message, emit
from histosge.encoders.base import Encoder
from histosge.errors import DataError, UsageError
from histosge.workflow.compute import Compute

from .embeddings import embeddings, encoder_of_patches
from .fold import EncodedFold
from .heads import HEADS, Head, heads_of
from .result import HestResult
from .result_files import OfficialFold, is_result, write_result
from .rows import Rows
from .sample import Sample, read_sample
from .scores import FoldScores
from .task import Task, find_tasks
from .tracks import HALF, first_track, second_track

__all__ = ["hest"]

_FEATURES, _RESULTS = "features", "results"
# fewer spots than this are no task, and cross-validation divides them in five
_LEAST_SPOTS = 10


def hest(
    folder: Path | str,
    out: Path | str,
    *,
    encoders: Sequence[str] = ("texture",),
    heads: Sequence[str] = (),
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
        Names in :data:`histosge.evaluation.hest.heads.HEADS`. Empty: all that the files allow; those that read
        positions are left out, with a message, where a sample has none.
    tasks
        Only these; empty: all that are there.
    known
        A second track: numbers of spots of each test sample that are known, or ``"half"``. Scores are of the other
        half of the spots, the same for every number, and so are those of the nulls, of the noise ceiling and of what
        positions alone predict.
    compute
        Device, precision, weights and progress.
    seed
        Of known spots, shuffled patches and the noise ceiling; the protocols of the benchmark have their own.

    Raises
    ------
    UsageError
        Before anything is computed, for names that there are not, numbers of spots below 0, heads that were named and
        read positions that a sample does not have, and a folder that holds something else.
    DataError
        For incomplete or damaged tasks, before anything is computed.
    WeightsError
        When weights of an encoder are missing, before anything is computed.
    OutputError
        When the disk is full. Features that were stored are kept.
    """
    numbers, chosen, encoders = _known(known), heads_of(tuple(heads or HEADS)), tuple(dict.fromkeys(encoders))
    if not encoders:
        raise UsageError("Expected one encoder at least. Give `encoders`.")
    planned, out = find_tasks(Path(folder), tuple(tasks)), Path(out)
    refuse_foreign_folder(out / _RESULTS, is_result)
    compute = compute.with_store(out / _FEATURES)
    messages = _refuse_absent(encoders, compute)
    data = [_Data.read(task, seed) for task in planned]
    chosen, positions, left_out = _usable(chosen, data, named=bool(heads))
    messages += [*left_out, *(message for part in data for message in part.messages(numbers))]
    emit(messages)
    writable_folder(out)
    table: list[dict[str, object]] = []
    official: list[OfficialFold] = []
    for name in encoders:
        encoder, _ = encoder_of_patches(name, compute)
        for part in data:
            for fold in part.encoded(encoder, compute):
                labels = {"task": part.task.name, "encoder": name, "fold": fold.fold.number}
                for head, scores, predicted in first_track(fold, chosen):
                    table += _lines(scores, labels | {"head": head, "known": "0"})
                    if predicted:
                        official.append(OfficialFold.of(fold, name, head, scores, predicted))
                for number in numbers:
                    for head, scores in second_track(fold, chosen, number, positions=positions):
                        table += _lines(scores, labels | {"head": head, "known": f"{number} of half"})
    result = HestResult.of(table, messages)
    return write_result(result, official, out / _RESULTS, seed=seed)


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """A task with the counts of its samples, each read once whatever the number of encoders."""

    task: Task
    samples: Mapping[str, Sample]
    seed: int

    @classmethod
    def read(cls, task: Task, seed: int) -> _Data:
        """Read the samples.

        Raises
        ------
        DataError
            For damaged files, and for a fold with next to no spots to fit.
        """
        samples = {name: read_sample(files, task.genes) for name, files in task.samples.items()}
        for fold in task.folds:
            spots = sum(len(samples[name]) for name in fold.train)
            if spots < _LEAST_SPOTS:
                raise DataError(
                    f"Expected {_LEAST_SPOTS} spots to fit or more in fold {fold.number} of task '{task.name}', got "
                    f"{spots}. Copy the task again, or give its folds more samples."
                )
        return cls(task, samples, seed)

    def encoded(self, encoder: Encoder, compute: Compute) -> Iterator[EncodedFold]:
        """Compute the features of each sample once, and yield the folds."""
        rows = {
            name: Rows.of(sample, embeddings(sample, encoder, compute), index)
            for index, (name, sample) in enumerate(self.samples.items())
        }
        for fold in self.task.folds:
            yield EncodedFold(self.task, fold, self.samples, rows, self.seed)

    def messages(self, numbers: Sequence[int | str]) -> Iterator[Message]:
        """Yield what was noticed in the samples, and which have fewer spots than are to be known."""
        for sample in self.samples.values():
            yield from sample.messages
        derived = {name: sample.positions.derived for name, sample in self.samples.items()}
        derived = {name: how for name, how in derived.items() if how}
        if derived:
            name, how = next(iter(derived.items()))
            text = f"Task '{self.task.name}': positions of {len(derived)} samples are derived. '{name}' has {how}."
            yield Message("info", text)
        tested = {name for fold in self.task.folds for name in fold.test}
        most = max((number for number in numbers if isinstance(number, int)), default=0)
        few = {name: len(self.samples[name]) // 2 for name in self.samples if name in tested}
        few = {name: half for name, half in few.items() if half < most}
        if few:
            name = min(few, key=lambda name: few[name])
            yield Message(
                "warning",
                f"Task '{self.task.name}': in {len(few)} of {len(tested)} test samples the half that may be known has "
                f"fewer than {most} spots, in '{name}' {few[name]}. All of them are known where more are asked for.",
            )


def _refuse_absent(encoders: Sequence[str], compute: Compute) -> list[Message]:
    """Build every encoder once, so that one that cannot be had ends the run before the first is used."""
    return [message for name in encoders for message in encoder_of_patches(name, compute)[1]]


def _usable(
    heads: Sequence[Head], data: Sequence[_Data], *, named: bool
) -> tuple[list[Head], bool, list[Message]]:
    """Return the heads that all samples allow, whether all have positions, and messages.

    A head is left out of all tasks, so that its mean over tasks is of the same tasks as that of another.

    Raises
    ------
    UsageError
        Where a head that was named reads positions that a sample does not have.
    """
    absent = [
        (part.task.name, name, sample.positions.absent)
        for part in data
        for name, sample in part.samples.items()
        if sample.positions.xy_um is None
    ]
    if not absent:
        return list(heads), True, []
    task, name, why = absent[0]
    of = f"{len(absent)} samples have" if len(absent) > 1 else "One sample has"
    reading = [head.name for head in heads if head.reads_positions]
    text = f"{of} no positions in µm. The first is '{name}' of task '{task}': {why}."
    if named and reading:
        raise UsageError(f"The head '{reading[0]}' needs positions. {text} Or leave it out of `heads`.")
    left_out = ", ".join([*reading, "what positions alone predict from known spots"])
    messages = [Message("warning", f"Left out: {left_out}. {text}")]
    return [head for head in heads if not head.reads_positions], False, messages


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
        if str(value) != HALF and not str(value).isdigit():
            raise UsageError(f"Expected numbers of spots or '{HALF}' in `known`, got '{value}'.")
        numbers.append(HALF if str(value) == HALF else int(value))
    return list(dict.fromkeys(numbers))
