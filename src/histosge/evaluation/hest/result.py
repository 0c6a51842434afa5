"""What a run of HEST-Benchmark found, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.messages import Message
from histosge.evaluation.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BESIDE", "COLUMNS", "EXPLANATIONS", "HestResult"]

#: rows that no head is: what stands beside the scores
BESIDE = ("noise ceiling", "level of samples", "shuffled patches")
COLUMNS = ("task", "encoder", "head", "known", "pooled r", "within samples", "undefined")
EXPLANATIONS = (
    "`pooled r`: over the spots of all test samples of a fold together, mean over genes and folds ± standard deviation "
    "over folds: the score of HEST-Benchmark, for which a gene without a defined r leaves the fold without a score. "
    "Differences between samples count.",
    "`within samples`: r over the spots of each test sample, mean over samples and genes; undefined ones count as 0.",
    "`level of samples`: the mean of a sample's prediction at each of its spots: what `pooled r` is without a pattern "
    "within samples; nothing where a fold has one test sample. `shuffled patches`: fitted to patches of other spots. "
    "`noise ceiling`: what a perfect prediction would reach.",
    "`known`: spots of the test sample that were fitted too, of the half that is not scored; 0: all spots are scored. "
    "`cokriging, positions alone`, `kriging of known spots` and `inverse distances` read no image.",
)


@dataclass(frozen=True, slots=True, eq=False)
class HestResult:
    """Correlations of every task, encoder, head and fold.

    Parameters
    ----------
    scores
        One row a task, encoder, fold, head, number of known spots, test sample (empty: all together) and gene.
    messages
        What was left out or noticed.
    files
        What was written.
    """

    scores: pd.DataFrame
    messages: tuple[Message, ...] = ()
    files: tuple[Path, ...] = ()

    @classmethod
    def of(cls, lines: Sequence[dict[str, object]], messages: Sequence[Message] = ()) -> HestResult:
        """Return the result of lines of the table."""
        import pandas as pd

        return cls(pd.DataFrame(lines), tuple(messages))

    def summary(self) -> pd.DataFrame:
        """Return a row for each task, encoder, head and number of known spots.

        Returns
        -------
        ``pooled`` and ``pooled_sd`` as the benchmark has them; ``within``; ``undefined``, the share of pooled
        correlations that are not defined.
        """
        import pandas as pd

        rows = []
        keys = ["task", "encoder", "known", "head"]
        for key, part in self.scores.groupby(keys, sort=False):
            pooled, within = part[part["sample"] == ""], part[part["sample"] != ""]
            # a mean that skips undefined genes would reward predictions that are constant
            folds = pooled.groupby("fold")["r"].agg(lambda r: r.to_numpy().mean())
            by_sample = within["r"].fillna(0.0).groupby([within["fold"], within["sample"]]).mean()
            rows.append(
                dict(zip(keys, key, strict=True))
                | {
                    "pooled": folds.mean(skipna=False),
                    "pooled_sd": folds.std(ddof=0, skipna=False),
                    "within": by_sample.mean(),
                    "undefined": pooled["r"].isna().mean(),
                }
            )
        return pd.DataFrame(rows)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table as text, the best head of each task and encoder first."""
        table = self.summary()
        table["beside"] = table["head"].isin(BESIDE)
        # in the order that was asked for: as text, 100 comes before 50
        table["order"] = table["known"].map({name: rank for rank, name in enumerate(table["known"].unique())})
        table = table.sort_values(
            ["task", "encoder", "order", "beside", "within"],
            ascending=[True, True, True, True, False],
            kind="stable",
        )
        return [_row(row) for row in table.to_dict("records")]

    def markdown(self) -> str:
        """Return the table with its explanations."""
        return "\n".join(
            [
                *markdown_table("HEST-Benchmark", COLUMNS, self.rows()),
                "",
                *(f"* {text}" for text in (*EXPLANATIONS, *(message.text for message in self.messages))),
                "",
            ]
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        records = self.summary().to_dict("records")
        results = [{str(name): _plain(value) for name, value in row.items()} for row in records]
        return {"results": results, "messages": [message.text for message in self.messages]}


def _row(row: dict[Any, Any]) -> tuple[str, ...]:
    pooled = "–" if np.isnan(row["pooled"]) else f"{row['pooled']:.3f} ± {row['pooled_sd']:.3f}"
    within = f"{row['within']:.3f}"
    return row["task"], row["encoder"], row["head"], row["known"], pooled, within, f"{row['undefined']:.0%}"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
