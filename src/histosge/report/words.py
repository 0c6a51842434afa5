"""What a reader must know of a run, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.prediction.factored import FactoredPrediction

from .contents import Contents

__all__ = ["Part", "calibration", "headline", "parts", "warnings"]

_PLATFORMS = {
    "visium": "10x Visium",
    "legacy_st": "Spatial Transcriptomics",
    "synthetic": "a synthetic tissue",
}
_LINES = ("model", "PCC", "skill", "MSE")
# a correlation at spots left out that is worth a second look
_GOOD = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the panel: a title, then whatever of the rest there is.

    Parameters
    ----------
    title
        Heading.
    paragraphs, after
        Sentences before and after the chart.
    chart
        Name of a drawing that the page makes.
    remarks
        Warnings and notes: ``level`` and ``text``.
    table
        Rows of cells, the header first.
    summary
        Terms and what they are.
    """

    title: str
    paragraphs: Sequence[str] = ()
    chart: str = ""
    after: Sequence[str] = ()
    remarks: Sequence[Mapping[str, str]] = ()
    table: Sequence[Sequence[str]] = ()
    summary: Sequence[tuple[str, str]] = field(default=())


def headline(contents: Contents) -> list[tuple[str, str]]:
    """Return what was measured, what was generated and how it was checked: what one reads first."""
    record, prediction = contents.record, contents.prediction
    model = (record.get("model") or {}).get("name") or (record.get("recipe") or {}).get("model") or ""
    wide = contents.measured.spots.diameter_um if contents.measured is not None else None
    # a number and its unit stay on one line
    spots = f"{_many(record['section'].get('spots'))} spots" + (f" of {wide:.0f}\u00a0µm" if wide else "")
    measured = (
        "nothing of this section but its image"
        if contents.image_alone
        else f"{spots}, {contents.pitch_um:.0f}\u00a0µm apart"
    )
    generated = f"{_many(len(prediction))} places × {_many(len(prediction.genes))} genes, by a model"
    return [
        ("Measured", measured),
        ("Generated", f"{generated} ({model})" if model else generated),
        ("Checked", _checked(contents)),
    ]


def _checked(contents: Contents) -> str:
    known = _known_skill(contents)
    if not len(known):
        return "not on this section" if contents.image_alone else "not in this run"
    good = int((known >= _GOOD).sum())
    where = (
        "not on this section; on others, left out in turn" if contents.image_alone else "at spots left out"
    )
    return f"{where}: correlation ≥\u00a0{_GOOD:g} for {_many(good)} of {_many(len(known))} genes"


def left_out(contents: Contents) -> str:
    """Return in words where genes were compared with what was measured."""
    return "in sections left out" if contents.image_alone else "at spots left out"


def _known_skill(contents: Contents) -> Array:
    """Return the correlations that are known, one a gene."""
    prediction = contents.prediction
    if not isinstance(prediction, FactoredPrediction):
        return np.empty(0)
    skill = np.asarray(prediction.basis.r_loo)
    known: Array = skill[np.isfinite(skill)]
    return known


def warnings(contents: Contents) -> int:
    """Return how many of the remarks are warnings."""
    return sum(note["level"] == "warning" for note in _notes(contents))


def parts(contents: Contents, precision: Sequence[tuple[str, str]]) -> list[Part]:
    """Return the panel's sections; ``precision`` says how exactly the page holds the numbers."""
    found = [
        _looking(contents),
        _trust(contents),
        _histology(contents),
        _intervals(contents),
        _scores(contents),
        _remarks(contents),
        _made(contents),
        Part(
            "This file",
            ("It needs no network and no server, and sends nothing anywhere.",),
            summary=precision,
        ),
    ]
    return [part for part in found if part is not None]


def calibration(contents: Contents) -> dict[str, list[float]] | None:
    """Return promised and kept shares of intervals where the fit says them (facts: ``calibration``), or ``None``."""
    held = (contents.record.get("fit") or {}).get("calibration")
    if not isinstance(held, Mapping) or "levels" not in held or "coverage" not in held:
        return None
    names = [name for name in ("levels", "coverage", "raw") if held.get(name) is not None]
    found = {name: [float(value) for value in held[name]] for name in names}
    return found if len({len(values) for values in found.values()}) == 1 and found["levels"] else None


def _looking(contents: Contents) -> Part:
    section, places = contents.record["section"], contents.prediction.locations
    if contents.image_alone:
        return Part("What you are looking at", (*_guessed(contents), *_unit(contents)))
    observed = int(places.observed.sum())
    platform = _PLATFORMS.get(str(section.get("platform")), str(section.get("platform")))
    spot = (
        ""
        if contents.measured is None or not contents.measured.spots.diameter_um
        else (f", each {contents.measured.spots.diameter_um:.0f} µm wide")
    )
    measured = (
        f"Measured: {_many(section.get('spots'))} spots of {platform}{spot} and {contents.pitch_um:.0f} µm apart, "
        f"{_many(section.get('genes'))} genes. A spot holds the RNA of all cells it covers."
    )
    between = len(places) - observed
    generated = (
        f"Generated: expression at {_many(len(places))} places. "
        + (
            f"{_many(observed)} of them are the measured spots, estimated anew; at the other "
            if observed
            else "At "
        )
        + f"{_many(between)} nothing was measured. Values there are estimates {_basis(contents)}"
    )
    return Part("What you are looking at", (measured, generated, *_unit(contents)))


def _guessed(contents: Contents) -> tuple[str, str]:
    """Say that nothing was measured, and what was learnt where."""
    names = [str(each.get("name")) for each in contents.record.get("auxiliary", ())]
    learnt = f"the sections {', '.join(names)}" if names else "other sections"
    return (
        "Measured: nothing of this section. There is its image, and no count of any molecule.",
        f"Generated: expression at {_many(len(contents.prediction))} places, all of it from the image, by what a model "
        f"learnt on {learnt}. How much RNA of a gene there is altogether is taken to be as it is there.",
    )


def _unit(contents: Contents) -> tuple[str, ...]:
    """Return what the values are, and how many genes have room."""
    rest = contents.predicted - len(contents.prediction.genes)
    cut = (
        f"This page has room for {_many(len(contents.prediction.genes))} of the {_many(contents.predicted)} genes: "
        "those that vary most. All are in prediction.h5ad."
    )
    unit = "Values are log1p(CP10k): the natural logarithm of 1 + counts per 10 000 counts of a spot."
    return (unit, *((cut,) if rest > 0 else ()))


def _basis(contents: Contents) -> str:
    """Say what the estimates depend on."""
    model, bases = contents.record.get("model") or {}, {"position": "the spots around", "image": "the image"}
    used = " and ".join(f"from {text}" for kind, text in bases.items() if model.get(f"uses_{kind}"))
    return (used or "by the mean of each gene") + (
        "." if model.get("uses_image") else "; the image was not used."
    )


def _trust(contents: Contents) -> Part:
    before: list[str] = []
    known = _known_skill(contents)
    if len(known):
        before.append(_skill_sentence(contents, known))
        if contents.image_alone:
            before.append(
                "This section was not among them. Where it is of another kind of tissue, or is stained or scanned in "
                "another way, expect less."
            )
    elif contents.image_alone:
        before.append(
            "Nobody can say how well each gene is predicted here, as nothing was measured to compare with. `histosge "
            "evaluate --split sections`, on the sections that were learnt from, tells how well each of them is "
            "predicted from the others; with two or more `--with`, `histosge run` does so itself."
        )
    else:
        before.append(
            "How well each gene is predicted was not measured in this run; `histosge evaluate` does that."
        )
    after = [
        "A smooth picture is no proof: what the model does not know, it fills with the average of the "
        + ("sections learnt from." if contents.image_alone else "surroundings.")
    ]
    after.append(
        "Places are no replicates: a test that counts them as samples finds everything significant. Nor are they "
        "cells, unless you asked for cells, and then the values are still estimates from spots."
    )
    return Part("How far to trust it", before, "skill-chart" if len(known) else "", after)


def _intervals(contents: Contents) -> Part:
    """Say whether intervals keep what they promise."""
    title = "Whether it knows what it does not know"
    if not _has_sd(contents):
        return Part(title, ("This model does not say how sure it is.",))
    if contents.image_alone:
        text = "The model says how sure it is. Whether it is right was checked on the sections learnt from, not here"
        share = (contents.record.get("leave_one_section_out") or {}).get("coverage")
        if share is not None:
            text += (
                f": left out in turn, {share:.0%} of what they show was within intervals that promise 90 %; those of "
                "genes where it was less have been widened to hold 90 % there"
            )
        return Part(title, (f"{text}.",))
    held = calibration(contents)
    if held is None:
        return Part(
            title, ("The model says how sure it is; whether it is right was not checked in this run.",)
        )
    share = dict(zip(held["levels"], held["coverage"], strict=True))
    level = min(share, key=lambda value: abs(value - 0.9))
    text = (
        f"Intervals that promise {level:.0%} held {share[level]:.0%} of the values left out. On the dashed line a "
        "model keeps exactly what it promises; below it, it is too sure. The uncertainty layer shows where intervals "
        "are wide."
    )
    return Part(title, (text,), "calibration-chart")


def _histology(contents: Contents) -> Part | None:
    """Say what the image added, where the fit weighed it (``image_weight`` and ``r_loo_factors`` of the fit)."""
    fit = contents.record.get("fit") or {}
    skill = fit.get("r_loo_factors") or {}
    if contents.image_alone or "image_weight" not in fit or "fitted" not in skill:
        return None
    title = "What the image added"
    if fit["image_weight"] == 0:
        text = "Nothing: the evidence gave the image no part of the covariance, and what you see is interpolation."
        return Part(title, (text,))
    auxiliary = float(fit.get("weight_of_auxiliary", 0.0))
    others = f" and {100 * auxiliary:.0f} % from spots of other sections that look alike" if auxiliary else ""
    weighed = (
        "The image was of use where spots that look alike also express alike. Averaged over genes, "
        f"{100 * fit.get('weight_of_histology', 0):.0f} % of the predicted pattern comes from it{others}; the rest is "
        "interpolation between spots. Each gene's own shares stand beside it. (In the model's terms: the evidence gave "
        f"the image {100 * fit['image_weight']:.0f} % of the covariance of places.)"
    )
    rows = [("predicted from", "mean r"), ("position and image", _number(skill["fitted"]))]
    rows += [
        (words, _number(skill[name]))
        for name, words in (("positions", "position alone"), ("shuffled_image", "image of other spots"))
        if name in skill
    ]
    tested = (
        "The mean over genes of r, the correlation at spots left out of the fit. Were the last line as good as the "
        "first, the image would be decoration."
    )
    return Part(title, (weighed, tested), table=rows)


def _skill_sentence(contents: Contents, known: Array) -> str:
    good, bad = int((known >= _GOOD).sum()), int((known < 0.15).sum())
    how = (
        "Each section learnt from was left out and predicted from its image by what the others teach."
        if contents.image_alone
        else "Spots were left out and predicted from the others."
    )
    return (
        f"{how} Of {_many(len(known))} genes, {_many(good)} reach a "
        f"correlation r of {_GOOD:g} or more with what was measured there; {_many(bad)} stay below 0.15, where a map "
        "says little more than the gene's average. A low correlation may also come from the noise of the measurement."
    )


def _has_sd(contents: Contents) -> bool:
    prediction = contents.prediction
    held = prediction.score_sd if isinstance(prediction, FactoredPrediction) else prediction.sd
    return held is not None


def _scores(contents: Contents) -> Part | None:
    """Return the table of an evaluation, the best model first."""
    rows = [row for row in (contents.scores or {}).get("rows", ()) if row.get("set") == "test"]
    if not rows:
        return None
    rows.sort(key=lambda row: -(row.get("pcc") or 0.0))
    several = len({(row["section"], row["split"]) for row in rows}) > 1
    table: list[tuple[str, ...]] = [(*_LINES, "section, split") if several else _LINES]
    for row in rows:
        name = " ".join(str(row[key]) for key in ("model", "preset") if row.get(key))
        cells = (name, *(_number(row.get(key)) for key in ("pcc", "skill", "mse")))
        table.append((*cells, f"{row['section']}, {row['split']}") if several else cells)
    where = "" if several else f" ({rows[0]['section']}, {rows[0]['split']})"
    text = (
        f"Spots that nothing fitted had seen{where}. PCC: mean correlation over genes; skill: share of the squared "
        "error of kriging that is saved, 0 for kriging itself, below 0 for what is worse; MSE: mean squared error."
    )
    return Part("Scores against baselines", (text,), table=table, summary=_told(rows))


def _told(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what each model of a table is, in the words of its card."""
    from histosge.models import MODELS

    names = dict.fromkeys(str(row["model"]) for row in rows)
    return [(name, MODELS[name].card.summary) for name in names if name in MODELS]


def _remarks(contents: Contents) -> Part | None:
    messages = _notes(contents)
    return Part("Warnings and remarks", remarks=messages) if messages else None


def _notes(contents: Contents) -> list[dict[str, str]]:
    """Return what was noticed on the way, warnings first."""
    messages = [dict(note) for note in contents.record.get("messages", ())]
    encoder = contents.record.get("encoder")
    if encoder and encoder.get("gated"):
        text = f"The encoder {encoder['name']} is licensed as {encoder['licence']}: check what that allows."
        messages.append({"level": "warning", "text": text})
    if contents.measured is None and not contents.image_alone:
        text = "The folder holds no measured values; give --section to see measured beside predicted."
        messages.append({"level": "warning", "text": text})
    if contents.slide is None:
        messages.append({"level": "info", "text": "There is no image, so places lie on a plain ground."})
    return sorted(messages, key=lambda note: note["level"] != "warning")


def _made(contents: Contents) -> Part:
    record = contents.record
    recipe, section = record.get("recipe") or {}, record["section"]
    model, encoder = record.get("model") or {}, record.get("encoder")
    packages = (record.get("environment") or {}).get("packages") or {}
    summary = [
        ("section", str(section.get("name"))),
        ("model", " ".join(str(word) for word in (model.get("name"), recipe.get("preset")) if word)),
        ("encoder", "none" if encoder is None else f"{encoder['name']}: {encoder['summary']}"),
        ("its licence", "" if encoder is None else str(encoder["licence"])),
        ("places", _target(record.get("target") or {})),
        ("genes", str(recipe.get("genes", ""))),
        ("seed", str(recipe.get("seed", ""))),
        ("scale", f"{contents.mpp:.3f} µm per full-resolution pixel"),
        ("image at hand", _micrometres(section.get("image_mpp"))),
        ("time", _seconds(record.get("stages") or {})),
        ("histosge", str(packages.get("histosge") or "")),
        ("fit", str(record.get("fit_key") or "")[:12]),
        ("data", str(section.get("fingerprint") or "")[:12]),
    ]
    return Part(
        "How it was made", summary=[(term, text) for term, text in summary if text and text != "None"]
    )


def _target(target: Mapping[str, Any]) -> str:
    if target.get("cells"):
        return "cells"
    if target.get("spacing_um"):
        return f"a grid every {target['spacing_um']:g} µm"
    return f"{target['upsample']} a spot ({target.get('boundary', '')})" if target.get("upsample") else ""


def _micrometres(mpp: float | None) -> str:
    return "none" if mpp is None else f"{mpp:.3g} µm per pixel"


def _seconds(stages: Mapping[str, Any]) -> str:
    total = sum(float(stage.get("wall_s", 0.0)) for stage in stages.values())
    return f"{total:.0f} s" if total else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _many(value: Any) -> str:
    return "?" if value is None else f"{int(value):,}".replace(",", "\u202f")
