"""The text of the report: the headline, and the parts of its panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from histosge.prediction.mean_depth import AT_MEAN_DEPTH, is_depth_adjusted

from .accuracy import (
    GOOD,
    accuracy_part,
    histology_part,
    intervals_part,
    left_out,
    measured_accuracy,
    scores_part,
    sentences_of,
)
from .contents import Contents
from .part import Part, thousands

__all__ = ["headline", "parts", "warnings"]

_PLATFORMS = {
    "visium": "10x Visium",
    "legacy_st": "Spatial Transcriptomics",
    "synthetic": "a synthetic tissue",
}


# rows of the table of genes that were never measured
_MOST_UNMEASURED = 50


def headline(contents: Contents) -> list[tuple[str, str]]:
    """Return the first lines of the page: what was measured, what was predicted, and its accuracy."""
    record, prediction = contents.record, contents.prediction
    model = (record.get("model") or {}).get("name") or (record.get("recipe") or {}).get("model") or ""
    diameter_um = contents.measured.spots.diameter_um if contents.measured is not None else None
    # no-break spaces keep a number and its unit on one line
    spots = f"{thousands(record['section'].get('spots'))} spots"
    spots += f" of {diameter_um:.0f}\u00a0µm" if diameter_um else ""
    measured = "H&E image only" if contents.image_only else f"{spots}, {contents.pitch_um:.0f}\u00a0µm apart"
    kind = "locations" if prediction.locations.cells is None else "cells"
    predicted = f"{thousands(len(prediction))} {kind} × {thousands(len(prediction.genes))} genes"
    predicted += ", at the section's mean depth" if is_depth_adjusted(record) else ""
    lines = [
        ("Measured", measured),
        ("Predicted", f"{predicted} (model: {model})" if model else predicted),
    ]
    if sentences := sentences_of(contents):
        texts = (sentence.replace("± ", "±\u00a0") for sentence in sentences)
        return [*lines, *zip(("Accuracy", "Image", "Gene programs"), texts, strict=False)]
    return [*lines, ("Accuracy", _accuracy(contents))]


def _accuracy(contents: Contents) -> str:
    r_loo = measured_accuracy(contents)
    if not len(r_loo):
        return "unknown for this section" if contents.image_only else "not measured in this run"
    good = int((r_loo >= GOOD).sum())
    where = f"{left_out(contents)}, not on this section" if contents.image_only else left_out(contents)
    return f"{where}: r ≥\u00a0{GOOD:g} for {thousands(good)} of {thousands(len(r_loo))} expressed genes"


def warnings(contents: Contents) -> int:
    """Return the number of warnings."""
    return sum(message["level"] == "warning" for message in _messages(contents))


def parts(contents: Contents, precision: Sequence[tuple[str, str]]) -> list[Part]:
    """Return the parts of the panel.

    Parameters
    ----------
    contents
        Of the report.
    precision
        Terms and values on the precision of the numbers in the page.
    """
    messages = _messages(contents)
    candidates = [
        _data_part(contents),
        accuracy_part(contents),
        histology_part(contents),
        intervals_part(contents),
        _unmeasured_part(contents),
        _means_part(contents),
        scores_part(contents),
        Part("Warnings and messages", messages=messages) if messages else None,
        _settings_part(contents),
        Part("This file", ("It needs no network and no server, and sends no data.",), summary=precision),
    ]
    return [part for part in candidates if part is not None]


def _data_part(contents: Contents) -> Part:
    """Return what was measured and what was predicted."""
    title = "Measured and predicted values"
    if contents.image_only:
        return Part(title, (*_from_image_only(contents), *_units(contents)))
    section, locations = contents.record["section"], contents.prediction.locations
    platform = _PLATFORMS.get(str(section.get("platform")), str(section.get("platform")))
    diameter_um = 0.0 if contents.measured is None else contents.measured.spots.diameter_um
    spot = f", {diameter_um:.0f} µm wide" if diameter_um else ""
    measured = (
        f"Measured: {thousands(section.get('spots'))} spots of {platform}{spot} and {contents.pitch_um:.0f} µm "
        "apart, "
        f"{thousands(section.get('genes'))} genes. A spot holds the RNA of all cells it covers."
    )
    observed = int(locations.observed.sum())
    between = len(locations) - observed
    among = (
        f"{thousands(observed)} of them are measured spots; at the other {thousands(between)}"
        if observed
        else f"At {thousands(between)}"
    )
    predicted = (
        f"Predicted: expression at {thousands(len(locations))} locations. {among} nothing was measured. Values "
        "there are "
        f"estimates {_inputs(contents)}"
    )
    return Part(title, (measured, predicted, *_units(contents)))


def _from_image_only(contents: Contents) -> tuple[str, str]:
    """Return what was measured and predicted in a section without counts."""
    names = [str(section.get("name")) for section in contents.record.get("auxiliary", ())]
    fitted = f"the sections {', '.join(names)}" if names else "other sections"
    return (
        "Measured: nothing in this section. It has an H&E image and no counts.",
        f"Predicted: expression at {thousands(len(contents.prediction))} locations, from the image, by a model "
        "fitted to "
        f"{fitted}. The mean level of each gene is assumed to be the same as there.",
    )


def _units(contents: Contents) -> tuple[str, ...]:
    """Return the unit of the values, and which genes the page contains."""
    shown = len(contents.prediction.genes)
    adjusted = (AT_MEAN_DEPTH,) if is_depth_adjusted(contents.record) else ()
    unit = "Values are log1p(CP10k): the natural logarithm of 1 + counts per 10 000 counts of a spot."
    if shown >= contents.predicted:
        return (unit, *adjusted)
    return (
        unit,
        *adjusted,
        f"This page has room for {thousands(shown)} of the {thousands(contents.predicted)} genes: those that "
        "vary most. "
        "All are in prediction.h5ad.",
    )


def _inputs(contents: Contents) -> str:
    """Return which inputs the configured model uses, as the run recorded them."""
    model, words = contents.record.get("model") or {}, {"position": "the spots around", "image": "the image"}
    used = " and ".join(f"from {text}" for name, text in words.items() if model.get(f"uses_{name}"))
    unused = "." if model.get("uses_image") else "; the image was not used."
    return (used or "by the mean of each gene") + unused


def _means_part(contents: Contents) -> Part:
    """Return what a mean over a disk is, and when it is called known."""
    title = "Means over wider areas"
    if isinstance(contents.means, str):
        return Part(title, (f"This page cannot show them: {contents.means}.",))
    widths = contents.means.widths_um
    return Part(
        title,
        (
            f'The slider "Mean over" averages the map of a gene over disks of {widths[0]:g} to {widths[-1]:g} µm. The '
            "wider the disk, the more is known of its mean, and the less detail is left.",
            "A mean is called known where the prediction explains at least half of its variance over the section. "
            "Other locations are grey. The bars under the slider show in how much of the tissue the gene is known at "
            "each width.",
            "This follows from the fit and from spots that were left out of it: what their predictions miss beyond "
            "their stated variance is taken for structure of single cells, 25 µm wide, which averages out over wide "
            "disks. Compared with single cells of a breast section, the variance explained was within 0.11 of what was "
            "stated, on average over genes.",
        ),
    )


def _unmeasured_part(contents: Contents) -> Part | None:
    """Return genes that were never measured in the section; nothing where none are predicted."""
    unmeasured = contents.record.get("unmeasured") or {}
    genes = unmeasured.get("genes") or ()
    if not genes:
        return None
    rows = sorted(zip(genes, unmeasured["r"], unmeasured["grades"], strict=True), key=lambda row: -row[1])
    texts = [
        "These genes were never measured in this section. They follow measured genes as in the data of the gene "
        "programs.",
        "r is that of measured genes like them, which were predicted as if they had not been measured. Their values "
        "are in unmeasured.h5ad, and not among the genes that this page draws.",
    ]
    if len(rows) > _MOST_UNMEASURED:
        texts.append(f"The {_MOST_UNMEASURED} of highest r, of {thousands(len(rows))}:")
    table = [
        ("gene", "r", "grade"),
        *((name, f"{r:.2f}", grade) for name, r, grade in rows[:_MOST_UNMEASURED]),
    ]
    return Part("Genes never measured here", tuple(texts), table=table)


def _messages(contents: Contents) -> list[dict[str, str]]:
    """Return the messages of the run and of the report, warnings first."""
    messages = [dict(message) for message in contents.record.get("messages", ())]
    encoder = contents.record.get("encoder")
    if encoder and encoder.get("gated"):
        text = f"The encoder {encoder['name']} has the licence {encoder['licence']}. Check what it permits."
        messages.append({"level": "warning", "text": text})
    if contents.measured is None and not contents.image_only:
        text = "The folder has no measured values. `histosge report --section` shows measured beside predicted values."
        messages.append({"level": "warning", "text": text})
    if contents.slide is None:
        messages.append({"level": "info", "text": "There is no image: locations are on a plain background."})
    return sorted(messages, key=lambda message: message["level"] != "warning")


def _settings_part(contents: Contents) -> Part:
    """Return what identifies the run."""
    record = contents.record
    recipe, section = record.get("recipe") or {}, record["section"]
    model, encoder = record.get("model") or {}, record.get("encoder")
    packages = (record.get("environment") or {}).get("packages") or {}
    seconds = record.get("seconds")
    summary = [
        ("section", str(section.get("name"))),
        ("model", " ".join(str(word) for word in (model.get("name"), recipe.get("preset")) if word)),
        ("encoder", "none" if encoder is None else f"{encoder['name']}: {encoder['summary']}"),
        ("its licence", "" if encoder is None else str(encoder["licence"])),
        ("locations", _target(record.get("target") or {})),
        ("genes", str(recipe.get("genes", ""))),
        ("gene programs", _programs(record.get("programs"))),
        ("seed", str(recipe.get("seed", ""))),
        ("scale", f"{contents.mpp:.3f} µm per full-resolution pixel"),
        ("image of the run", _resolution(section.get("image_mpp"))),
        ("time", "" if seconds is None else f"{float(seconds):.0f} s"),
        ("histosge", str(packages.get("histosge") or "")),
        ("fit", str(record.get("fit_key") or "")[:12]),
        ("data", str(section.get("fingerprint") or "")[:12]),
    ]
    return Part(
        "Settings of the run", summary=[(term, text) for term, text in summary if text and text != "None"]
    )


def _programs(programs: Mapping[str, Any] | None) -> str:
    """Return what the gene programs of a run were built of; empty where there are none."""
    if not programs:
        return ""
    names = ", ".join(str(name) for name in programs.get("names", ()))
    licences = "; ".join(str(licence) for licence in programs.get("licences", ()))
    common = thousands(programs.get("common"))
    text = f"{thousands(programs.get('profiles'))} profiles of {names}; {common} of the fitted genes"
    return f"{text}; licence {licences}" if licences else text


def _target(target: Mapping[str, Any]) -> str:
    if target.get("cells"):
        return "cells"
    if target.get("spacing_um"):
        return f"a grid every {target['spacing_um']:g} µm"
    return f"{target['upsample']} a spot ({target.get('boundary', '')})" if target.get("upsample") else ""


def _resolution(mpp: float | None) -> str:
    return "none" if mpp is None else f"{mpp:.3g} µm per pixel"
