"""Predictions as integer codes, from which the page computes values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.io.layout.prediction_table import CELL_SCALE
from histosge.prediction.accuracy import GRADES, NO_GRADE
from histosge.prediction.attribution import COMPONENTS
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction

from .pack import Codes, blob, quantised

__all__ = ["Packed", "pack"]

# most bytes of scores in 16 bits; larger ones have 8 bits
_FINE_BYTES = 26_000_000
# the same for standard deviations, which need fewer digits
_FINE_SD_BYTES = 3_000_000
# columns of accuracy beside r_loo, and grades, the worst first, as `expression.js` has them
_ACCURACY = ("r_loo_given_depth", "r_loo_low", "r_loo_high")
_GRADES = {NO_GRADE: 0, **{name: at for at, name in enumerate(reversed(GRADES), start=1)}}
# values of a chunk of columns
_CHUNK_VALUES = 1_000_000


@dataclass(frozen=True, slots=True)
class Packed:
    """A prediction ready for the page.

    Parameters
    ----------
    about
        Metadata that the page needs to decode the blobs.
    blobs
        Encoded arrays by name.
    error, error_sd
        The largest difference of a value, and of a standard deviation, to the file's, in log1p(CP10k).
    """

    about: dict[str, Any]
    blobs: dict[str, str]
    error: float
    error_sd: float | None


def pack(prediction: FactoredPrediction | Prediction) -> Packed:
    """Return a prediction as codes: factors where it has them, columns otherwise."""
    return _factors(prediction) if isinstance(prediction, FactoredPrediction) else _columns(prediction)


def _factors(prediction: FactoredPrediction) -> Packed:
    basis, scores = prediction.basis, np.asarray(prediction.scores, dtype=np.float64)
    # one step a gene: its largest loading has the largest 16-bit code
    largest = np.maximum(np.abs(basis.loadings).max(axis=1, initial=0.0), 1e-12).astype(np.float64)
    step = (largest / 32767).astype(np.float32)
    loadings = np.rint(basis.loadings / step[:, None].astype(np.float64)).astype(np.int16)
    score_codes = quantised(scores.T, 16 if scores.size * 2 <= _FINE_BYTES else 8)
    blobs = {"scores": blob(score_codes.codes), "loadings": blob(loadings), "loading_step": blob(step)}
    weight = np.abs(np.asarray(basis.loadings, dtype=np.float64))
    reach = np.abs(scores).max(axis=0, initial=0.0) + score_codes.error
    # |Δ(l·f)| ≤ |l| Δf + Δl |f|: bound of the error from both roundings
    error = float((weight @ score_codes.error + step / 2.0 * reach.sum()).max(initial=0.0))
    about: dict[str, Any] = {"k": scores.shape[1], "scores": score_codes.about()}
    names = ("offset", "calibration_factor", "noise_sd", "r_loo", *_ACCURACY)
    tables = {name: getattr(basis, name) for name in names}
    # position of the grade in the list of the page, the worst first; NaN where it is unknown
    tables["grade"] = np.array([_GRADES.get(str(grade), np.nan) for grade in basis.grade])
    if np.isfinite(basis.reliability_50um).any():
        tables |= {name: getattr(basis, name) for name in CELL_SCALE}
    if (shares := basis.shares) is not None:
        tables |= {f"from_{name}": column for name, column in zip(COMPONENTS, shares.T, strict=True)}
    tables["level"] = np.maximum(basis.offset + basis.loadings @ scores.mean(axis=0), 0)
    error_sd = None
    if prediction.score_sd is not None:
        sd = np.asarray(prediction.score_sd, dtype=np.float64)
        codes = quantised(sd.T, 16 if sd.size * 2 <= _FINE_SD_BYTES else 8, from_zero=True)
        blobs["score_sd"] = blob(codes.codes)
        about["score_sd"] = codes.about()
        error_sd = _sd_error(
            weight,
            codes,
            step=step,
            sd=sd,
            calibration_factor=np.maximum(np.asarray(basis.calibration_factor, dtype=np.float64), 1.0),
        )
    return _with_tables(Packed({"factors": about}, blobs, error, error_sd), tables)


def _sd_error(weight: Array, codes: Codes, step: Array, sd: Array, calibration_factor: Array) -> float:
    """Return a bound of the error of standard deviations, by the triangle inequality of the Euclidean norm."""
    from_scores = np.sqrt(weight**2 @ codes.error**2)
    from_loadings = step / 2.0 * np.sqrt((sd**2).sum(axis=1).max(initial=0.0))
    return float((calibration_factor * (from_scores + from_loadings)).max(initial=0.0))


def _columns(prediction: Prediction) -> Packed:
    n, g = prediction.mean.shape
    copies = 1 if prediction.sd is None else 2
    bits = 16 if n * g * 2 * copies <= _FINE_BYTES else 8
    per_chunk = max(1, _CHUNK_VALUES // max(n, 1))
    about: dict[str, Any] = {"per_chunk": per_chunk}
    blobs: dict[str, str] = {}
    errors = []
    for name, matrix in (("mean", prediction.mean), ("sd", prediction.sd)):
        if matrix is None:
            continue
        lows, steps = [], []
        for chunk, start in enumerate(range(0, g, per_chunk)):
            codes = quantised(matrix[:, start : start + per_chunk].T, bits, from_zero=name == "sd")
            blobs[f"{name}.{chunk}"] = blob(codes.codes)
            lows.append(codes.low)
            steps.append(codes.step)
        low, step = np.concatenate(lows), np.concatenate(steps)
        about[name] = {"bits": bits, "low": low.tolist(), "step": step.tolist()}
        errors.append(float(step.max() / 2))
    tables = {"level": prediction.mean.mean(axis=0)}
    error_sd = errors[1] if len(errors) > 1 else None
    return _with_tables(Packed({"columns": about}, blobs, errors[0], error_sd), tables)


def _with_tables(packed: Packed, tables: dict[str, Array]) -> Packed:
    """Add the tables of one number a gene that have any finite value."""
    known = {name: column for name, column in tables.items() if np.isfinite(column).any()}
    blobs = {name: blob(np.asarray(column, dtype=np.float32)) for name, column in known.items()}
    about = {**packed.about, "tables": list(known)}
    return Packed(about, packed.blobs | blobs, packed.error, packed.error_sd)
