"""Fits in a folder: load one, and keep the accuracy of its genes in sections left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from histosge._runtime.records import read_record, write_record
from histosge.errors import UsageError
from histosge.models import saving
from histosge.section.genes import GenePanel
from histosge.section.section import Section

from .compute import Compute
from .encode import encoder_for
from .fit import Fit
from .fit_metadata import FitMetadata, FittedSection, fit_key
from .section_accuracy import SectionAccuracy
from .transfer import refuse_without_image

__all__ = ["load_fit", "load_fit_of_others", "read_accuracy", "write_accuracy"]


def load_fit(section: Section, folder: str | Path, *, compute: Compute = Compute()) -> Fit:
    """Return the latest fit in ``folder``, which was fitted to ``section``.

    Parameters
    ----------
    section
        The first section of the fit; its auxiliary sections are not needed.
    folder
        As given to :func:`histosge.fit`; a run keeps its fit in ``OUT/fit``.
    compute
        Device and weights.

    Raises
    ------
    UsageError
        When there is none, or when it was fitted to other data.
    """
    folder = Path(folder)
    held = FitMetadata.read(folder)
    needs = held.recipe.build().needs
    encoder = encoder_for(section, held.recipe, needs=needs, compute=compute)
    key = fit_key(held, section.fingerprint, encoder)
    if not saving.is_saved(folder / key):
        raise UsageError(
            f"The fit in '{folder}' belongs to other data, another image or other weights than those given. "
            "Give the section it was fitted to, or fit this one."
        )
    model, predictor = saving.load(folder / key)
    # the fitted genes: a file of names may have changed or be gone
    panel = GenePanel(predictor.genes, section.columns(predictor.genes), held.recipe.genes_text, held.missing)
    metadata = replace(held, section=FittedSection.of(section, panel))
    return Fit(metadata, model, predictor, encoder=encoder, panel=panel, key=key)


def load_fit_of_others(section: Section, folder: str | Path, *, compute: Compute = Compute()) -> Fit:
    """Return the latest fit in ``folder``, to predict a section that it was not fitted to.

    Raises
    ------
    UsageError
        When there is none, it was made with other weights, or its model does not read the image.
    """
    folder = Path(folder)
    held = FitMetadata.read(folder)
    model = held.recipe.build()
    refuse_without_image(model, section)
    # patches as wide as in the fit, whatever the scale of the new image
    encoder = encoder_for(section, held.recipe, needs=model.needs, compute=compute, mpp=held.section.mpp)
    key = held.key(encoder)
    if not saving.is_saved(folder / key):
        raise UsageError(
            f"The fit in '{folder}' was made with other weights than those given, or is incomplete. Give them as "
            "`weights`, or fit again."
        )
    model, predictor = saving.load(folder / key)
    # columns count from 0: the new section gets the fitted genes in the order of the panel
    panel = GenePanel(predictor.genes, np.arange(len(predictor.genes)), held.recipe.genes_text, held.missing)
    return Fit(held, model, predictor, encoder=encoder, panel=panel, key=key)


def write_accuracy(accuracy: SectionAccuracy, folder: Path, key: str) -> None:
    """Keep the accuracy of the fit ``key`` beside it."""
    write_record(_accuracy_path(folder, key), accuracy.as_dict())


def read_accuracy(folder: Path, key: str) -> SectionAccuracy | None:
    """Return what :func:`write_accuracy` kept; ``None`` where there is nothing.

    Raises
    ------
    DataError
        When the file is damaged.
    """
    path = _accuracy_path(folder, key)
    if not path.exists():
        return None
    return read_record(path, SectionAccuracy, remedy="Delete it, and run again.")


def _accuracy_path(folder: Path, key: str) -> Path:
    return folder / f"{key}.leave_one_section_out.json"
