"""How well genes are predicted in sections that were left out of the fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from histosge.prediction.factored import Basis

__all__ = ["SectionAccuracy"]


@dataclass(frozen=True, slots=True)
class SectionAccuracy:
    """Result of leave-one-section-out cross-validation.

    Parameters
    ----------
    sections
        How many were left out in turn.
    r
        Pearson correlation of each gene with what was measured, mean over the sections left out, in the order of the
        panel; 0 for a gene that is constant.
    coverage
        Fraction of the measured values inside their 90 % intervals, before the intervals are widened; ``None`` for
        models without standard deviations.
    calibration_factor
        Factor on each gene's standard deviations with which 90 % intervals cover 90 %, at least 1: sections differ by
        more than spots of one section do.
    """

    sections: int
    r: tuple[float, ...]
    coverage: float | None
    calibration_factor: tuple[float, ...]

    def applied_to(self, basis: Basis) -> Basis:
        """Return the basis with these correlations, and with standard deviations widened by the factors."""
        # float32, as the columns of factors.h5ad
        r, factor = (np.array(part, dtype=np.float32) for part in (self.r, self.calibration_factor))
        # of sections, for which neither depth nor bounds are known
        without = basis.without_accuracy()
        return replace(without, r_loo=r, calibration_factor=basis.calibration_factor * factor)

    def summary(self) -> dict[str, float | None]:
        """Return the number of sections, the mean correlation and the coverage."""
        return {"sections": self.sections, "r": float(np.mean(self.r)), "coverage": self.coverage}

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as plain values."""
        return asdict(self)
