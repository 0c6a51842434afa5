"""One section in, one folder out: predictions, figures and the record of how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import writable_folder
from histosge._runtime.provenance import Stopwatch
from histosge.errors import UsageError
from histosge.images.tissue import TissueMask
from histosge.models.base import FactoredPredictor
from histosge.section.image_only import of_image, with_genes
from histosge.section.locations import Locations, at_spots
from histosge.section.section import Section
from histosge.section.target import Target, locate, tissue_of

from .fit import (
    Compute,
    Fitted,
    checked_in,
    eyes,
    fit,
    load_elsewhere,
    load_fit,
    prepare,
    refuse_blind,
    sighted,
)
from .leave_one_section_out import crosscheck
from .outputs import Job, Outputs, deliver
from .recipe import Recipe
from .section_accuracy import Elsewhere

__all__ = ["embed_into", "fit_into", "predict_into", "run"]


def run(
    section: Section,
    recipe: Recipe,
    *,
    target: Target,
    out: str | Path,
    compute: Compute = Compute(),
    outputs: Outputs = Outputs(),
    auxiliary: Sequence[Section] = (),
) -> dict[str, Any]:
    """Fit ``recipe`` to ``section``, predict at ``target``, write everything into ``out`` and return the record.

    ``out`` receives ``prediction.h5ad``, ``figures/``, ``run.json``, and the features and the fit, which a later
    run of the same recipe reuses. Each file appears whole or not at all; ``run.json`` comes last. An interrupted
    run goes on where it stopped and gives the same result. ``auxiliary`` are fitted too, for :func:`histosge.fit` to
    borrow strength from. A section of which nothing was measured, such as an image, is predicted from what the model
    learns on the siblings alone; where they are several, each of them is predicted from the others first, which tells
    how far to trust each gene.

    Raises
    ------
    UsageError, DataError, WeightsError
        In one sentence each, before anything is written where that can be known before.
    """
    watch = Stopwatch()
    out = Path(out)
    compute = _at_home(compute, out)
    _refuse_alone(section, recipe, auxiliary)
    with watch("locate"):
        mask = tissue_of(section)
        places = locate(section, target, mask)
    writable_folder(out)
    with watch("fit"):
        fitted_to = (section, *auxiliary) if section.measured else auxiliary
        fitted = fit(fitted_to[0], recipe, compute, auxiliary=fitted_to[1:], folder=out / "fit")
    if not section.measured:
        with watch("check"):
            fitted = _checked(fitted, fitted_to, out / "fit", compute)
        section, fitted, places = _elsewhere(section, fitted, target, mask, compute)
    return deliver(Job(section, fitted, target, places, mask, out, compute, outputs), watch)


def predict_into(
    section: Section,
    fit_folder: Path,
    *,
    target: Target,
    out: Path,
    compute: Compute = Compute(),
    outputs: Outputs = Outputs(),
) -> dict[str, Any]:
    """Predict at ``target`` with the fit that ``histosge fit`` kept in ``fit_folder``; otherwise like :func:`run`.

    Siblings that were fitted are not needed again. A section of which nothing was measured, such as an image, is
    predicted with the latest fit in the folder, whichever section that was made on.
    """
    watch = Stopwatch()
    compute = _at_home(compute, fit_folder)
    with watch("locate"):
        load = load_fit if section.measured else load_elsewhere
        fitted = load(section, fit_folder / "fit", compute)
        mask = tissue_of(section)
        places = locate(section, target, mask)
    writable_folder(out)
    if not section.measured:
        section, fitted, places = _elsewhere(section, fitted, target, mask, compute)
    return deliver(Job(section, fitted, target, places, mask, out, compute, outputs), watch)


def fit_into(
    section: Section,
    recipe: Recipe,
    *,
    out: Path,
    compute: Compute = Compute(),
    auxiliary: Sequence[Section] = (),
) -> dict[str, Any]:
    """Fit ``recipe`` to ``section``, keep it in ``out`` for :func:`predict_into`, and return what was learnt."""
    watch = Stopwatch()
    writable_folder(out)
    with watch("fit"):
        fitted = fit(section, recipe, _at_home(compute, out), auxiliary=auxiliary, folder=out / "fit")
    return {
        "fit_key": fitted.key,
        "genes": [str(name) for name in fitted.predictor.genes],
        "auxiliary": [asdict(auxiliary_section) for auxiliary_section in fitted.auxiliary],
        "fit": dict(fitted.predictor.summary()),
        "stages": watch.stages,
    }


def embed_into(
    section: Section, recipe: Recipe, *, target: Target, out: Path, compute: Compute = Compute()
) -> dict[str, Any]:
    """Compute and keep the features that :func:`run` with the same arguments would need; return where and how many.

    Raises
    ------
    UsageError
        When the recipe's model does not read features.
    """
    watch = Stopwatch()
    needs = recipe.build().needs
    if not needs.features:
        raise UsageError(f"Model '{recipe.model}' reads no encoder features; there is nothing to embed.")
    compute = _at_home(compute, out)
    encoder = eyes(section, recipe, needs, compute)
    places = locate(section, target, tissue_of(section))
    writable_folder(out)
    with watch("embed"):
        prepare(section, at_spots(section), needs, encoder, compute)
        features = prepare(section, places, needs, encoder, compute).features
    dim = 0 if features is None else features.shape[1]
    return {"places": len(places), "dim": dim, "store": str(compute.store), "stages": watch.stages}


def _refuse_alone(section: Section, recipe: Recipe, auxiliary: Sequence[Section]) -> None:
    """Refuse what could know nothing of a section of which nothing was measured, before anything is written."""
    if section.measured:
        return
    if not auxiliary:
        raise UsageError(
            f"Nothing was measured in '{section.name}', so there is nothing to fit. Name sections of like tissue to "
            "learn from with --with, or a fit to `histosge predict`."
        )
    refuse_blind(recipe.build(), section)


def _checked(fitted: Fitted, sections: Sequence[Section], folder: Path, compute: Compute) -> Fitted:
    """Return the fit with what leaving out each section has shown; of models that are fitted in seconds."""
    if not isinstance(fitted.predictor, FactoredPredictor):
        return fitted
    kept = checked_in(folder, fitted.key)
    found = Elsewhere.read(kept)
    if found is None and (found := crosscheck(sections, fitted, compute)) is not None:
        found.write(kept)
    return replace(fitted, elsewhere=found)


def _elsewhere(
    section: Section, fitted: Fitted, target: Target, mask: TissueMask, compute: Compute
) -> tuple[Section, Fitted, Locations]:
    """Return a section of which nothing was measured as the fit knows it, and its places."""
    origin = fitted.origin
    # looked at as densely as what was fitted
    if origin is not None and section.lattice is None and section.slide is not None:
        seen = of_image(section.slide, section.name, look_um=origin.pitch_um, mask=mask)
        section = seen.with_messages(*section.messages)
    names = fitted.predictor.genes
    section = with_genes(section, names, names if origin is None else origin.ids())
    return section, sighted(fitted, section, compute), locate(section, target, mask)


def _at_home(compute: Compute, folder: Path) -> Compute:
    """Keep features beside the results unless the user named another store."""
    return compute if compute.store is not None else replace(compute, store=folder / "features")
