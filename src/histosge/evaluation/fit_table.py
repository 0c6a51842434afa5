"""The table of fits: what each cost, how it was trained, and how much of the image it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge.encoders import ENCODERS
from histosge.encoders.joined import names_of
from histosge.models.base import Model
from histosge.section.section import Section
from histosge.workflow.encode import patch_widths
from histosge.workflow.recipe import Recipe

from .plan import Plan, Trial
from .planned_studies import study_of
from .trial import TrialResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIT_COLUMNS", "device_of", "fit_table", "windows_um"]

#: seconds and memory of a fit, and of the prediction of all spots of its section
COSTS = ("fit_wall_s", "fit_cpu_s", "fit_peak_mb", "predict_wall_s", "predict_cpu_s", "predict_peak_mb")
#: columns of the table of fits
FIT_COLUMNS = (
    *("section", "split", "model", "preset", "encoder", "seed"),
    *("windows_um", "initialisation", "epochs", "best_epoch", "genes", "training_spots", "test_spots"),
    *COSTS,
    *("device", "is_network", "skipped"),
)


def fit_table(plan: Plan, trials: Sequence[Trial], results: Sequence[TrialResult]) -> pd.DataFrame:
    """Return one row per fit; values that a fit does not have are missing.

    ``windows_um`` are the widths of the patches that the model reads, in µm, narrowest first; ``epochs`` those that
    were trained, ``best_epoch`` the one whose weights predict; ``device`` is what trained a network.
    """
    import pandas as pd

    rows = [_row(plan, trial, result) for trial, result in zip(trials, results, strict=True)]
    frame = pd.DataFrame(rows, columns=list(FIT_COLUMNS))
    whole = ("epochs", "best_epoch", "genes", "training_spots", "test_spots")
    return frame.astype(dict.fromkeys(whole, "Int64") | dict.fromkeys(COSTS, "float64"))


def windows_um(section: Section, recipe: Recipe) -> tuple[float, ...]:
    """Return the widths of the patches that a recipe's model reads on a section, in µm; none without image.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> windows_um(section, hs.Recipe("cokriging")), windows_um(section, hs.Recipe("kriging"))
    ((55.0, 110.0, 220.0), ())
    """
    needs = recipe.build().needs
    widths: set[float] = set()
    own = patch_widths(section, recipe, needs)
    if needs.features:
        by_name = own if isinstance(own, Mapping) else dict.fromkeys(names_of(recipe.encoder), own)
        shares = [windows.share for windows in needs.windows] or [1.0]
        for name in names_of(recipe.encoder):
            widths.update(share * width for width in _of_encoder(name, by_name.get(name)) for share in shares)
    if needs.patch_px is not None or needs.colour:
        crop_um = None if needs.crop is None else needs.crop.width_um(section.mpp, section.spots.diameter_um)
        # where a model names no width, neighbouring spots' patches touch
        widths.add(crop_um or section.pitch_um)
    return tuple(sorted(float(np.round(width, 2)) for width in widths))


def device_of(summary: Mapping[str, Any], model: Model) -> str:
    """Return what trained a network, by the summary of its fit; all else is fitted on a CPU."""
    return str(summary.get("device", "" if model.card.deep else "cpu"))


def _of_encoder(name: str, first_um: float | None) -> list[float]:
    """Return the widths of an encoder's patches, the first one ``first_um`` wide where that is set."""
    # features of tiles have the width of their file, which no card says
    patches = ENCODERS[name].card.patches if name in ENCODERS else ()
    if not patches:
        return [] if first_um is None else [first_um]
    factor = 1.0 if first_um is None else first_um / patches[0].size_um
    return [patch.size_um * factor for patch in patches]


def _row(plan: Plan, trial: Trial, result: TrialResult) -> dict[str, Any]:
    study = study_of(plan, trial)
    summary, model = result.summary, trial.recipe.build()
    values = {name: getattr(result, name) for name in FIT_COLUMNS[:6]} | {"skipped": result.skipped}
    if result.skipped:
        return values | {"windows_um": "", "initialisation": "", "device": "", "is_network": model.card.deep}
    widths = windows_um(study.target, trial.recipe) if study.target.slide is not None else ()
    return values | {
        "windows_um": ", ".join(f"{width:g}" for width in widths),
        "initialisation": summary.get("initialisation", ""),
        "epochs": summary.get("epochs"),
        "best_epoch": summary.get("best_epoch"),
        "genes": result.scores["gene"].nunique(),
        "training_spots": len(study.training) + sum(map(len, study.auxiliary)),
        "test_spots": len(study.test),
        **{name: result.cost.get(name) for name in COSTS},
        "device": device_of(summary, model),
        "is_network": model.card.deep,
    }
