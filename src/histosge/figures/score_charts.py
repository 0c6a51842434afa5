"""Charts of scores: the distribution over genes, the gain over kriging, the distance to the noise ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["against_kriging", "correlation_table", "share_of_ceiling", "violins"]

_DPI = 130
# of Okabe & Ito's palette for colour-vision deficiency
_BLUE, _ORANGE, _GREY = "#0072B2", "#E69F00", "#888888"
_REFERENCE = "kriging"
# a baseline that only checks the scores; its bar would suggest a competitor
_NOT_DRAWN = ("memorisation",)


def violins(frame: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Draw the distribution of the genes' correlations at test spots, one violin a model, best mean on top.

    Parameters
    ----------
    frame
        The tidy table of scores of one section and split.
    ax
        Axes to draw on; ``None`` makes a figure.
    """
    table = correlation_table(frame)
    names = _ranked(table)
    axes = _new_axes(0.36 * len(names) + 1.2) if ax is None else ax
    if names:
        parts: dict[str, Any] = axes.violinplot(
            [table[name].to_numpy() for name in names],
            orientation="horizontal",
            showextrema=False,
            widths=0.9,
        )
        for body, name in zip(parts["bodies"], names, strict=True):
            body.set_facecolor(_ORANGE if _plain(name) == _REFERENCE else _BLUE)
            body.set_alpha(0.7)
        axes.plot([table[name].mean() for name in names], np.arange(1, len(names) + 1), "k|", ms=11)
    axes.set_yticks(np.arange(1, len(names) + 1), names)
    axes.axvline(0, color=_GREY, lw=0.8)
    axes.set_xlabel("PCC over test spots, one value a gene and seed (bar: mean; undefined counts 0)")
    return _figure_of(axes)


def share_of_ceiling(frame: pd.DataFrame, ceiling: float, *, ax: Axes | None = None) -> Figure:
    """Draw each model's mean correlation at test spots as a bar, with the noise ceiling as a line.

    The full part of a bar is what is left given depth: over spots of the same total count.

    Parameters
    ----------
    frame
        The tidy table of scores of one section and split.
    ceiling
        Mean noise ceiling of its genes.
    ax
        Axes to draw on; ``None`` makes a figure.
    """
    table = correlation_table(frame)
    names = _ranked(table)
    axes = _new_axes(0.3 * len(names) + 1.2) if ax is None else ax
    colours = [_ORANGE if _plain(name) == _REFERENCE else _BLUE for name in names]
    rows = np.arange(len(names))
    given_depth = correlation_table(frame, "pcc_given_depth")
    # scores of earlier versions have no such column
    alpha = 0.4 if len(given_depth) else 1.0
    axes.barh(rows, [table[name].mean() for name in names], color=colours, alpha=alpha)
    if len(given_depth):
        axes.barh(rows, [given_depth[name].mean() for name in names], color=colours)
    axes.axvline(ceiling, color="k", ls="--", lw=1)
    # beside the line, where no bar is
    axes.text(ceiling, -0.45, " noise ceiling", va="bottom", ha="left", fontsize=8)
    axes.set_xlim(right=1.25 * ceiling)
    axes.set_yticks(rows, names)
    axes.set_xlabel("mean PCC over test spots" + (" (full colour: given depth)" if len(given_depth) else ""))
    return _figure_of(axes)


def against_kriging(frame: pd.DataFrame) -> Figure:
    """Draw each gene's correlation by a model against that by kriging, one panel a model.

    Points above the diagonal are genes that the model predicts better than kriging does.

    Parameters
    ----------
    frame
        The tidy table of scores of one section and split.
    """
    table = correlation_table(frame)
    reference = next((name for name in table.columns if _plain(name) == _REFERENCE), None)
    names = [name for name in reversed(_ranked(table)) if name != reference][:9]
    if reference is None or not names:
        axes = _new_axes(2.0)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no scores of kriging to compare with", ha="center")
        return _figure_of(axes)
    return _scatters(table, names, reference)


def _scatters(table: pd.DataFrame, names: list[str], reference: str) -> Figure:
    from matplotlib.figure import Figure

    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.0 * columns, 3.1 * rows), dpi=_DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    low, high = float(table.min().min()), float(table.max().max())
    for axes, name in zip(grid.flat, names, strict=False):
        gains = float((table[name] > table[reference]).mean())
        axes.plot([low, high], [low, high], color=_GREY, lw=0.8)
        axes.plot(table[reference], table[name], ".", ms=2.5, color=_BLUE, alpha=0.5, rasterized=True)
        axes.set_title(f"{name}\n{gains:.0%} of genes gain", fontsize=8)
        axes.set_aspect("equal")
    for axes in list(grid.flat)[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("PCC of kriging", fontsize=9)
    figure.supylabel("PCC of the model", fontsize=9)
    return figure


def _new_axes(height_in: float) -> Axes:
    from matplotlib.figure import Figure

    axes = Figure(figsize=(7.5, height_in), dpi=_DPI, layout="constrained").subplots()
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def _figure_of(axes: Axes) -> Figure:
    return axes.figure  # type: ignore[return-value]


def correlation_table(frame: pd.DataFrame, metric: str = "pcc") -> pd.DataFrame:
    """Return (seed, gene) × models: correlation at test spots, undefined as 0; each seed has its own genes."""
    mine = frame[(frame["metric"] == metric) & (frame["set"] == "test")]
    mine = mine[~mine["model"].isin(_NOT_DRAWN)]
    labels = [_label(*words) for words in zip(mine["model"], mine["preset"], mine["encoder"], strict=True)]
    mine = mine.assign(label=labels, value=mine["value"].fillna(0.0), gene=mine["gene"].astype(str))
    return mine.pivot_table(index=["seed", "gene"], columns="label", values="value").fillna(0.0)


def _label(model: str, preset: str, encoder: str) -> str:
    words = [word for word in (preset, encoder if encoder != "texture" else "") if word]
    return f"{model} ({', '.join(words)})" if words else model


def _plain(label: str) -> str:
    return label.partition(" (")[0]


def _ranked(table: pd.DataFrame) -> list[str]:
    order: Array = np.argsort(table.mean().to_numpy(), kind="stable")
    return [str(table.columns[index]) for index in order]
