"""What identifies a result."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge.io.layout.cell_table import packed
from histosge.prediction.accuracy_words import accuracy_sentences
from histosge.prediction.mean_depth import AT_MEAN_DEPTH
from histosge.section.locations import Locations
from histosge.section.section import Section
from histosge.section.target import Target
from histosge.segmentation.cells import Cells

from .compute import Compute
from .fit import Fit
from .predict import Fitted

__all__ = ["provenance_of"]


def provenance_of(
    section: Section, fitted: Fitted, *, target: Target, locations: Locations, compute: Compute
) -> dict[str, Any]:
    """Return what identifies a result as plain values; it travels inside every file and every AnnData.

    Parameters
    ----------
    section
        What is predicted.
    fitted
        The fit, or the transfer of one.
    target, locations
        Where, as asked for and as located.
    compute
        Device and precision.
    """
    # no times and no paths: two runs of the same give the same files to the byte
    encoder, model = fitted.encoder, fitted.model
    accuracy, summary = fitted.accuracy, dict(fitted.predictor.summary())
    # spots left out say nothing of another section
    sentences = accuracy_sentences(summary, uses_image=model.uses_image) if isinstance(fitted, Fit) else ()
    if fitted.recipe.depth_adjusted:
        sentences += (AT_MEAN_DEPTH,)
    return {
        "section": _section(section),
        "basis": fitted.basis,
        "accuracy": list(sentences),
        "leave_one_section_out": None if accuracy is None else accuracy.summary(),
        "auxiliary": [asdict(auxiliary) for auxiliary in fitted.auxiliary],
        "programs": None if fitted.programs_summary is None else asdict(fitted.programs_summary),
        "recipe": fitted.recipe.as_dict(),
        "model": {
            "name": model.card.name,
            "config": asdict(model),  # type: ignore[call-overload]
            "uses_image": model.uses_image,
            "uses_position": model.uses_position,
        },
        "fit": summary,
        "fit_key": fitted.key,
        "encoder": None if encoder is None else asdict(encoder.card),
        "target": _target(target),
        "locations": len(locations),
        **_cells(locations.cells),
        "device": compute.device,
        "precision": compute.precision,
    }


def _target(target: Target) -> dict[str, Any]:
    """Return where was asked for, paths as text; cells in memory are described by :func:`_cells`."""
    values = {field.name: getattr(target, field.name) for field in fields(target)}
    # JSON has no infinity
    reach_um = values.pop("reach_um")
    if reach_um is not None:
        values["reach_um"] = reach_um if np.isfinite(reach_um) else "inf"
    return {
        key: str(value) if isinstance(value, Path) else "in memory" if isinstance(value, Cells) else value
        for key, value in values.items()
    }


def _cells(cells: Cells | None) -> dict[str, Any]:
    """Return what identifies cells: the same file may hold other outlines or classes another day."""
    if cells is None:
        return {}
    classes = np.empty(0) if cells.classes is None else cells.classes
    names, numbers = np.unique(classes.astype(str), return_counts=True)
    area = None if cells.outlines is None else float(np.median(cells.area_um2))
    content = {
        "number": len(cells),
        "source": cells.source,
        "median_area_um2": area,
        "classes": dict(zip(names.tolist(), numbers.tolist(), strict=True)),
        "fingerprint": fingerprint(packed(cells), np.array(cells.xy_um), classes),
    }
    return {"cells": content}


def _section(section: Section) -> dict[str, Any]:
    """Return what identifies a section; one without counts has no spots and no genes."""
    # the samples and genes of a section without counts are those of the fit, not its own
    measured = section.has_counts
    return {
        "name": section.name,
        "platform": section.platform.name,
        "measured": measured,
        "spots": len(section) if measured else 0,
        "genes": len(section.genes) if measured else 0,
        "mpp": section.mpp,
        "pitch_um": section.pitch_um,
        "image_mpp": None if section.slide is None else section.slide.mpp,
        "fingerprint": section.fingerprint,
    }
