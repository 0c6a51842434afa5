"""The result of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .fit_table import fit_table
from .plan import Plan, Trial
from .scores import COLUMNS, ScoreRow, summary
from .trial import TrialResult, gene_statistics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA", "EvaluationResult", "collect"]

#: of the files of an evaluation; folders of schema 1 have the genes among the scores, and no table of fits
SCHEMA = 2


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EvaluationResult:
    """Scores of models on sections and splits.

    Parameters
    ----------
    plan
        What was evaluated.
    scores
        The tidy table: one value per section, split, score set, model, seed, gene and metric.
    genes
        Mean expression and noise ceiling: one row per section, split, seed and gene.
    fits
        One row per fit: its cost, epochs, initialisation, encoder and width of its windows.
    rows
        Its summary: one row per section, split, model and score set.
    trials
        Cost, fit summary and skipped models, one per fit.
    files
        The files written; empty without a folder.

    Examples
    --------
    >>> import histosge as hs
    >>> from histosge.evaluation.evaluate import evaluate
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> result = evaluate(section, "cokriging", seeds=1, genes="all")
    >>> result
    EvaluationResult(memorisation, mean, nearest, idw, kriging, depth, ridge, cokriging on synthetic; 10 fits)
    >>> table = result.to_frame()
    >>> test = table[table["set"] == "test"].set_index("model")["pcc"]
    >>> bool(test["cokriging"] > test["mean"])
    True
    """

    plan: Plan
    scores: pd.DataFrame
    genes: pd.DataFrame
    fits: pd.DataFrame
    rows: tuple[ScoreRow, ...]
    trials: tuple[TrialResult, ...]
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        models = ", ".join(dict.fromkeys(row.model for row in self.rows))
        sections = ", ".join(dict.fromkeys(row.section for row in self.rows))
        return f"EvaluationResult({models} on {sections}; {len(self.trials)} fits)"

    @property
    def leaks(self) -> tuple[str, ...]:
        """Leaks that the plan declares."""
        return tuple(sorted({leak for trial in self.trials for leak in trial.leaks}))

    @property
    def skipped(self) -> tuple[TrialResult, ...]:
        """Trials whose model cannot predict the study."""
        return tuple(trial for trial in self.trials if trial.skipped)

    @property
    def initialisations(self) -> dict[str, str]:
        """What tables must add to a model's name: how its network was initialised, where that is not the default."""
        return {
            f"{trial.model} {trial.preset}".strip(): trial.summary["initialisation"]
            for trial in self.trials
            if trial.summary.get("initialisation")
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the summary as a table: one line per section, split, model and score set."""
        import pandas as pd

        return pd.DataFrame([row.as_dict() for row in self.rows])

    def select(self, **labels: str) -> tuple[ScoreRow, ...]:
        """Return the rows with the labels, such as ``select(model="kriging", set="test")``."""
        return tuple(
            row for row in self.rows if all(getattr(row, name) == value for name, value in labels.items())
        )

    def seconds(self, section: str, split: str) -> dict[tuple[str, str, str], float]:
        """Return the mean seconds of a fit, by model, preset and encoder."""
        seconds: dict[tuple[str, str, str], list[float]] = {}
        for trial in self.trials:
            if (trial.section, trial.split) == (section, split) and trial.cost:
                key = (trial.model, trial.preset, trial.encoder)
                seconds.setdefault(key, []).append(trial.cost["fit_wall_s"])
        return {key: sum(values) / len(values) for key, values in seconds.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, as ``scores.json`` holds it; equal in every run."""
        return {
            "schema": SCHEMA,
            "description": self.plan.description,
            "genes": self.plan.genes,
            "hvg_scope": self.plan.hvg_scope,
            "seeds": list(self.plan.seeds),
            "declared_leaks": list(self.leaks),
            "skipped": [_identity(trial) | {"reason": trial.skipped} for trial in self.skipped],
            "initialisations": self.initialisations,
            "rows": [row.as_dict() for row in self.rows],
        }

    def costs(self) -> list[dict[str, Any]]:
        """Return the cost of each fit as plain values, as ``costs.json`` holds it."""
        return [_identity(trial) | {"cost": dict(trial.cost)} for trial in self.trials if trial.cost]


def collect(plan: Plan, trials: Sequence[Trial], results: Sequence[TrialResult]) -> EvaluationResult:
    """Join the results of trials into one table, beside one of the genes of each study and one of the fits."""
    import pandas as pd

    # ceiling and expression do not depend on the model: once per section, split and seed
    divisions = {trial.division: trial for trial in reversed(trials)}
    genes = pd.concat(
        [gene_statistics(plan, trial) for trial in reversed(divisions.values())], ignore_index=True
    )
    frames = [result.scores for result in results if len(result.scores)]
    # ten label columns of millions of rows: categories take a tenth of the memory of strings
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    categories = [name for name in COLUMNS if name not in ("seed", "value")]
    frame = frame.astype(dict.fromkeys(categories, "category"))
    fits = fit_table(plan, trials, results)
    return EvaluationResult(plan, frame, genes, fits, summary(frame, genes), tuple(results))


def _identity(trial: TrialResult) -> dict[str, Any]:
    names = ("section", "split", "model", "preset", "encoder", "seed")
    return {name: getattr(trial, name) for name in names}
