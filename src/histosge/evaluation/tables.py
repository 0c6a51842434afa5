"""Score tables for readers: one row per model, the best correlation at the test spots first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .epochs import epochs_text
from .result import EvaluationResult
from .scores import ScoreRow

__all__ = [
    "COLUMNS",
    "EXPLANATIONS",
    "markdown",
    "markdown_table",
    "model_label",
    "screen_table",
    "table_rows",
]

COLUMNS = (
    "model",
    "PCC test",
    "given depth",
    "top-50",
    "MSE",
    "MAE",
    "undefined",
    "skill",
    "of ceiling",
    "PCC training",
    "PCC pooled",
    "epochs (kept)",
    "windows, µm",
    "fit s",
)
# columns that a table is left without where no model has a value
_MAY_BE_EMPTY = ("epochs (kept)", "windows, µm")

# the columns that fit into a terminal: `skill` says what the MSE does, against that of kriging
_SCREEN = (
    *("model", "PCC test", "given depth", "undefined", "skill", "of ceiling"),
    *_MAY_BE_EMPTY,
    "fit s",
)

EXPLANATIONS = (
    "`test`: spots that no fitted step has used. Mean over genes; undefined correlations count as 0; ± standard "
    "deviation over seeds.",
    "`given depth`: the correlation over test spots of the same depth, that is, with the log total count of the spots "
    "partialled out. The row `depth` predicts every gene from interpolated total counts alone.",
    "`skill`: 1 − MSE / MSE of kriging on positions, mean over genes. `of ceiling`: fraction of the noise ceiling, the "
    "correlation that a perfect prediction would reach.",
    "`pooled` takes training and test spots together, as published tables do: it is in part in-sample, and drops "
    "undefined genes. The row `memorisation` shows how high that score is without any prediction.",
    "`epochs (kept)`: all that were trained, and the one whose weights predict. `windows`: widths of the image patches "
    "that the model reads around a location, in a terminal the narrowest and the widest.",
)


def table_rows(
    result: EvaluationResult, section: str, split: str, *, columns: Sequence[str] = COLUMNS
) -> list[tuple[str, ...]]:
    """Return the rows of a section's table, best correlation at the test spots first.

    Parameters
    ----------
    result
        Scores.
    section, split
        The table to return.
    columns
        Some of :data:`COLUMNS`.
    """
    systems: dict[tuple[str, str, str], dict[str, ScoreRow]] = {}
    for row in result.select(section=section, split=split):
        systems.setdefault(row.system, {})[row.set] = row
    order = sorted(systems, key=lambda system: -(systems[system]["test"]["pcc"] or 0.0))
    seconds, training = result.seconds(section, split), _training(result, section, split)
    shown = [COLUMNS.index(name) for name in columns]
    rows = []
    for system in order:
        label = model_label(system, result.initialisations)
        cells = _cells(label, systems[system], training.get(system, ("–", "–")), seconds.get(system))
        rows.append(tuple(cells[column] for column in shown))
    return rows


def screen_table(
    result: EvaluationResult, section: str, split: str
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns and rows of a section's table that fit into a terminal of 120 letters or more.

    Epochs and windows are left out where no model has any; of several windows the narrowest and the widest are named.
    """
    columns, rows = _filled(result, section, split, _SCREEN)
    if "windows, µm" in columns:
        index = columns.index("windows, µm")
        rows = [(*row[:index], _window_span(row[index]), *row[index + 1 :]) for row in rows]
    return columns, rows


def markdown(result: EvaluationResult) -> str:
    """Return all tables as Markdown, with their explanations."""
    lines = [f"> {result.plan.description}", ""] if result.plan.description else []
    if result.leaks:
        lines += [f"> Declared leak: {leak}" for leak in result.leaks] + [""]
    for section, split in dict.fromkeys((row.section, row.split) for row in result.rows):
        lines += markdown_table(f"{section}, {split}", *_filled(result, section, split, COLUMNS))
    skipped = (f"* {trial.section}: {trial.model} was skipped. {trial.skipped}" for trial in result.skipped)
    lines += dict.fromkeys(skipped)
    return "\n".join([*lines, *(f"* {text}" for text in EXPLANATIONS), ""])


def markdown_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table under its title."""
    rule = "|" + "---|" * len(header)
    head, *body = ["| " + " | ".join(cells) + " |" for cells in (header, *rows)]
    return [f"### {title}", "", head, rule, *body, ""]


def model_label(system: tuple[str, str, str], initialisations: Mapping[str, str]) -> str:
    """Return the name of a row: model, preset, encoder unless it is the default, and how a network was initialised.

    Parameters
    ----------
    system
        Model, preset and encoder.
    initialisations
        As :attr:`EvaluationResult.initialisations`.
    """
    model, preset, encoder = system
    initialisation = initialisations.get(f"{model} {preset}".strip(), "")
    details = [word for word in (preset, encoder if encoder != "texture" else "", initialisation) if word]
    return f"{model} ({', '.join(details)})" if details else model


def _filled(
    result: EvaluationResult, section: str, split: str, columns: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return columns and rows without epochs or windows where no model has any."""
    rows = table_rows(result, section, split, columns=columns)
    shown = [
        index
        for index, name in enumerate(columns)
        if name not in _MAY_BE_EMPTY or any(row[index] != "–" for row in rows)
    ]
    return tuple(columns[index] for index in shown), [tuple(row[index] for index in shown) for row in rows]


def _window_span(text: str) -> str:
    """Return the narrowest and the widest of the windows in a cell, which may be of several fits."""
    widths = [part.split(", ") for part in text.split(" / ")]
    return " / ".join("–".join(dict.fromkeys((part[0], part[-1]))) for part in widths)


def _training(
    result: EvaluationResult, section: str, split: str
) -> dict[tuple[str, str, str], tuple[str, str]]:
    """Return the epochs of each system's fits and the widths of its windows, dashes where it has none."""
    fits = result.fits
    if not len(fits):
        return {}
    mine = fits[(fits["section"] == section) & (fits["split"] == split) & (fits["skipped"] == "")]
    texts = {}
    for (model, preset, encoder), part in mine.groupby(["model", "preset", "encoder"], sort=False):
        epochs = epochs_text(*(part[name].dropna().tolist() for name in ("epochs", "best_epoch")))
        windows = " / ".join(text for text in dict.fromkeys(part["windows_um"]) if text)
        texts[str(model), str(preset), str(encoder)] = (epochs or "–", windows or "–")
    return texts


def _cells(
    label: str, sets: Mapping[str, ScoreRow], training: tuple[str, str], seconds: float | None
) -> tuple[str, ...]:
    test = sets["test"]
    sd = test["pcc_sd"]
    return (
        label,
        _number(test, "pcc") + ("" if sd is None else f" ± {sd:.4f}"),
        _number(test, "pcc_given_depth"),
        _number(test, "pcc_top50"),
        _number(test, "mse"),
        _number(test, "mae"),
        _percent(test, "pcc_undefined"),
        _number(test, "skill", 3),
        _percent(test, "of_ceiling"),
        _number(sets.get("training"), "pcc"),
        _number(sets.get("pooled"), "pcc_defined"),
        *training,
        "" if seconds is None else f"{seconds:.1f}",
    )


def _number(row: ScoreRow | None, metric: str, digits: int = 4) -> str:
    value = None if row is None else row[metric]
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(row: ScoreRow, metric: str) -> str:
    value = row[metric]
    return "–" if value is None else f"{100 * value:.0f} %"
