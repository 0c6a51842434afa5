"""One section in, one folder out: predictions, figures and the record of how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ._atomic import writable_folder
from ._errors import UsageError
from .delivery import Job, Outputs, deliver
from .locations import at_spots
from .provenance import Stopwatch
from .recipe import Recipe
from .section import Section
from .target import Target, locate, tissue_of
from .workflow import Machine, eyes, fit, load_fit, prepare

__all__ = ["embed_into", "fit_into", "predict_into", "run"]


def run(
    section: Section,
    recipe: Recipe,
    *,
    target: Target,
    out: str | Path,
    machine: Machine = Machine(),
    outputs: Outputs = Outputs(),
    siblings: Sequence[Section] = (),
) -> dict[str, Any]:
    """Fit ``recipe`` to ``section``, predict at ``target``, write everything into ``out`` and return the record.

    ``out`` receives ``prediction.h5ad``, ``figures/``, ``run.json``, and the features and the fit, which a later
    run of the same recipe reuses. Each file appears whole or not at all; ``run.json`` comes last. An interrupted
    run goes on where it stopped and gives the same result. ``siblings`` are fitted too, for :func:`histosge.fit` to
    borrow strength from.

    Raises
    ------
    UsageError, DataError, WeightsError
        In one sentence each, before anything is written where that can be known before.
    """
    watch = Stopwatch()
    out = Path(out)
    machine = _at_home(machine, out)
    with watch("locate"):
        mask = tissue_of(section)
        places = locate(section, target, mask)
    writable_folder(out)
    with watch("fit"):
        fitted = fit(section, recipe, machine, siblings=siblings, folder=out / "fit")
    return deliver(Job(section, fitted, target, places, mask, out, machine, outputs), watch)


def predict_into(
    section: Section,
    fit_folder: Path,
    *,
    target: Target,
    out: Path,
    machine: Machine = Machine(),
    outputs: Outputs = Outputs(),
) -> dict[str, Any]:
    """Predict at ``target`` with the fit that ``histosge fit`` kept in ``fit_folder``; otherwise like :func:`run`.

    Siblings that were fitted are not needed again.
    """
    watch = Stopwatch()
    machine = _at_home(machine, fit_folder)
    with watch("locate"):
        fitted = load_fit(section, fit_folder / "fit", machine)
        mask = tissue_of(section)
        places = locate(section, target, mask)
    writable_folder(out)
    return deliver(Job(section, fitted, target, places, mask, out, machine, outputs), watch)


def fit_into(
    section: Section,
    recipe: Recipe,
    *,
    out: Path,
    machine: Machine = Machine(),
    siblings: Sequence[Section] = (),
) -> dict[str, Any]:
    """Fit ``recipe`` to ``section``, keep it in ``out`` for :func:`predict_into`, and return what was learnt."""
    watch = Stopwatch()
    writable_folder(out)
    with watch("fit"):
        fitted = fit(section, recipe, _at_home(machine, out), siblings=siblings, folder=out / "fit")
    return {
        "fit_key": fitted.key,
        "genes": [str(name) for name in fitted.predictor.genes],
        "siblings": [asdict(sibling) for sibling in fitted.siblings],
        "fit": dict(fitted.predictor.facts()),
        "stages": watch.stages,
    }


def embed_into(
    section: Section, recipe: Recipe, *, target: Target, out: Path, machine: Machine = Machine()
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
    machine = _at_home(machine, out)
    encoder = eyes(section, recipe, needs, machine)
    places = locate(section, target, tissue_of(section))
    writable_folder(out)
    with watch("embed"):
        prepare(section, at_spots(section), needs, encoder, machine)
        features = prepare(section, places, needs, encoder, machine).features
    dim = 0 if features is None else features.shape[1]
    return {"places": len(places), "dim": dim, "store": str(machine.store), "stages": watch.stages}


def _at_home(machine: Machine, folder: Path) -> Machine:
    """Keep features beside the results unless the user named another store."""
    return machine if machine.store is not None else replace(machine, store=folder / "features")
