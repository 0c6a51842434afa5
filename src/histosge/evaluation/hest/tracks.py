"""The two tracks: test samples predicted from others alone, and with some of their spots known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from histosge._runtime.types import Array

from .fold import EncodedFold
from .heads import HEADS, POSITION_HEADS, Head
from .result import BESIDE
from .rows import Rows, divided
from .scores import FoldScores, level_of

__all__ = ["HALF", "first_track", "second_track"]

#: all spots that may be known
HALF = "half"
_CEILING, _LEVEL, _SHUFFLED = BESIDE


def first_track(fold: EncodedFold, heads: Sequence[Head]) -> Iterator[tuple[str, FoldScores, list[Array]]]:
    """Predict the test samples from others alone, as the benchmark does.

    Yields
    ------
    The name of each head, its scores and its predictions; then what stands beside them, without predictions.
    """
    study = _Study(fold, fold.asked)
    for head in heads:
        predicted = study.predicted(head)
        yield head.name, study.scores(predicted), predicted
    for name, scores in study.beside():
        yield name, scores, []


def second_track(
    fold: EncodedFold, heads: Sequence[Head], number: int | str, *, positions: bool
) -> Iterator[tuple[str, FoldScores]]:
    """Predict half of the spots of each test sample, with so many of its other half known.

    Every test sample has a fit of its own, which knows spots of no other one. Beside the heads stand what positions
    alone predict from the same known spots, and what stands beside them in the first track, at the same spots: rows of
    one number can be subtracted.

    Parameters
    ----------
    fold, heads
        What is fitted.
    number
        Of known spots, or ``"half"``.
    positions
        Whether all samples have positions.
    """
    parts = [divided(rows, fold.seed) for rows in fold.asked]
    stop = None if number == HALF else int(number)
    study = _Study(
        fold,
        [rows.take(scored) for rows, (scored, _) in zip(fold.asked, parts, strict=True)],
        [rows.take(others[:stop]) for rows, (_, others) in zip(fold.asked, parts, strict=True)],
    )
    for head in (*heads, *(POSITION_HEADS.values() if positions else ())):
        if head.least <= min(map(len, study.known)):
            yield head.name, study.scores(study.predicted(head))
    yield from study.beside()


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """Spots to score of each test sample, and those of it that are known: none, or some for each."""

    fold: EncodedFold
    asked: Sequence[Rows]
    known: Sequence[Rows] = ()

    def predicted(self, head: Head, *, shuffled: bool = False) -> list[Array]:
        """Fit a head, once or for each test sample with its known spots, and predict."""
        if not any(map(len, self.known)):
            predict = head.fit(self._spots(None, shuffled))
            return [predict(asked) for asked in self.asked]
        return [
            head.fit(self._spots(known, shuffled))(asked)
            for known, asked in zip(self.known, self.asked, strict=True)
        ]

    def scores(self, predicted: Sequence[Array]) -> FoldScores:
        """Score predictions of the asked spots."""
        return self.fold.scores(self.asked, predicted)

    def beside(self) -> Iterator[tuple[str, FoldScores]]:
        """Yield what stands beside every score: no relation to the image, no pattern in a sample, no error but noise.

        The first two are of the leaderboard's protocol.
        """
        head = HEADS["pca-ridge"]
        yield _SHUFFLED, self.scores(self.predicted(head, shuffled=True))
        yield _LEVEL, self.scores([level_of(part) for part in self.predicted(head)])
        yield _CEILING, self.fold.ceiling(self.asked)

    def _spots(self, known: Rows | None, shuffled: bool) -> Rows:
        spots = self.fold.fitted if known is None else Rows.joined([self.fold.fitted, known])
        return self.fold.shuffled(spots) if shuffled else spots
