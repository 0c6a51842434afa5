"""Fits of models of other packages: in a process of their own, which is given the training spots and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.provenance import Gauge
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.models.base import AdaptivePredictor, Model, Predictor, Runtime, predict
from histosge.section.inputs import Inputs, PatchRows, Samples

from .audit import Leak
from .separate_process import run_separately
from .study import Study

__all__ = ["StoredPatches", "TrialFit", "fit_and_predict", "fit_separately", "with_stored_patches"]

# fits that take longer are not repeated in this process: their scores come from the separate one in any case
_MOST_SECONDS = 60.0
# sums in another order differ by so much, relative to the values
_ROUNDING = 1e-4
# patches read at once
_PATCHES = 256
_NOT_REPEATABLE = (
    "Two fits of '{name}' to the same spots with the same seed differ, so that what it reads could not be checked by "
    "repeating it. Its scores come from a process that was given the training spots and nothing else."
)
_DIFFERS = (
    "The fit of '{name}' differs between this process and one that is given the training spots and nothing else: it "
    "depends on something besides its samples. Check test spots, results of earlier fits that its module keeps, and "
    "random numbers that do not follow the seed."
)


@dataclass(frozen=True, slots=True)
class StoredPatches:
    """Patches in a file of pixels alone: their slide image, and the path of it, stay where they are."""

    file: Path
    rows: Array

    @property
    def px(self) -> int:
        """Pixels along one side."""
        return int(np.load(self.file, mmap_mode="r").shape[1])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Array:
        return np.asarray(np.load(self.file, mmap_mode="r")[self.rows[index]])

    def take(self, index: Any) -> PatchRows:
        """Return the patches at ``index`` without reading them."""
        return replace(self, rows=self.rows[index])


@dataclass(frozen=True, slots=True)
class TrialFit:
    """A fit and its prediction, as plain values.

    Parameters
    ----------
    mean, sd
        Prediction at the spots of the target.
    summary
        What the fit reports of itself.
    cost
        Wall and CPU seconds and peak memory of the fit and of the prediction.
    """

    mean: Array
    sd: Array | None
    summary: Mapping[str, Any]
    cost: Mapping[str, float]

    @property
    def is_short(self) -> bool:
        """Whether the fit takes seconds, so that it can be repeated."""
        return self.cost["fit_wall_s"] <= _MOST_SECONDS


def with_stored_patches(inputs: Inputs, folder: Path) -> Inputs:
    """Return inputs that refer to no file but one in ``folder``."""
    features = None if inputs.features is None else np.asarray(inputs.features[:])
    if inputs.patches is None:
        return replace(inputs, features=features)
    source, file = inputs.patches, folder / "patches.npy"
    shape = (len(source), source.px, source.px, 3)
    pixels = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, len(source), _PATCHES):
        pixels[start : start + _PATCHES] = source[slice(start, start + _PATCHES)]
    pixels.flush()
    return replace(inputs, features=features, patches=StoredPatches(file, np.arange(len(source))))


def fit_and_predict(fit: Callable[[], Predictor], spots: Inputs, is_new: bool) -> TrialFit:
    """Fit, and predict at the spots of the target; ``is_new`` where none of them is fitted."""
    fit_gauge, predict_gauge = Gauge(), Gauge()
    with fit_gauge:
        predictor = fit()
    with predict_gauge:
        # the staining of a section without training spots may differ
        if is_new and isinstance(predictor, AdaptivePredictor):
            predictor = predictor.adapted_to(spots)
        prediction = predict(predictor, spots)
    cost = {f"fit_{name}": value for name, value in fit_gauge.cost.items()}
    cost |= {f"predict_{name}": value for name, value in predict_gauge.cost.items()}
    return TrialFit(prediction.mean, prediction.sd, dict(predictor.summary()), cost)


def fit_separately(
    study: Study, model: Model, samples: Samples, spots: Inputs, *, runtime: Runtime
) -> tuple[TrialFit, tuple[Leak, ...]]:
    """Fit a model and predict at the spots of the target in a process of its own; return both, and the leaks.

    A fit in this process follows, where it takes seconds: it must predict the same. Where it does not, the model has
    read something besides its samples that this process knows and the other does not: test spots, or an earlier fit.

    Parameters
    ----------
    study
        Training and test spots.
    model
        The model.
    samples, spots
        What is fitted, and what is predicted; see :func:`with_stored_patches`.
    runtime
        Device and precision.

    Raises
    ------
    DataError
        When the fit fails in a process of its own, or opens a file of the target.
    """
    # a progress bar stays in the process that draws it
    fit = partial(model.fit, samples, seed=study.seed, runtime=replace(runtime, progress=None))
    work = (fit, spots, not len(study.training))
    fitted = _separately(study, model, work)
    if not fitted.is_short or _same_here(work, fitted):
        return fitted, ()
    if not _equal(_separately(study, model, work), fitted):
        emit([Message("warning", _NOT_REPEATABLE.format(name=model.card.name))])
        return fitted, ()
    return fitted, (Leak("fit", _DIFFERS.format(name=model.card.name)),)


def _separately(study: Study, model: Model, work: tuple[Any, ...]) -> TrialFit:
    """Return what the work comes to in a process of its own."""
    outcome = run_separately(fit_and_predict, *work, closed=study.target.sources)
    if outcome.opened:
        raise DataError(
            f"Leak: The fit of '{model.card.name}' opened '{outcome.opened[0]}', a file of the section that is scored. "
            "A model may read its samples, and nothing else of the section."
        )
    if isinstance(outcome.value, TrialFit):
        return outcome.value
    raise DataError(
        f"Leak: The fit of '{model.card.name}' fails in a process that is given the training spots and nothing else "
        f"({outcome.value}). A model may read its samples, its own package and stored weights; it finds no path of "
        "the section, none of its files, and no variables of the environment besides those of the computer."
    )


def _same_here(work: tuple[Any, ...], fitted: TrialFit) -> bool:
    """Return whether the same work in this process predicts the same."""
    try:
        return _equal(fit_and_predict(*work), fitted)
    # a computer without memory says nothing of the model
    except MemoryError:
        raise
    # it did not fail in a process of its own, so that it depends on something in this one
    except Exception:
        return False


def _equal(first: TrialFit, second: TrialFit) -> bool:
    """Return whether two fits predict the same, but for rounding."""
    if (first.sd is None) != (second.sd is None):
        return False
    pairs = [(first.mean, second.mean)]
    if first.sd is not None and second.sd is not None:
        pairs.append((first.sd, second.sd))
    return all(np.allclose(a, b, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True) for a, b in pairs)
