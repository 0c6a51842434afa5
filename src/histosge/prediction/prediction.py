"""A prediction: expression at locations, with standard deviations and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from histosge._runtime.names import positions_or_refuse
from histosge._runtime.summary import as_html, as_text, plural
from histosge._runtime.types import Array, Float, Int, frozen
from histosge.errors import DataError
from histosge.section.locations import Locations

__all__ = ["Prediction", "prediction_summary"]

# genes whose names a notebook shows
_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Expression predicted at ``locations``, in log1p(CP10k).

    Parameters
    ----------
    locations
        Locations of the rows.
    genes
        Gene names, one per column.
    mean
        Predicted expression, n × g.
    sd
        Predictive standard deviations, n × g; ``None`` from models that have none.
    provenance
        What made the prediction: plain values, written into every file.

    Raises
    ------
    DataError
        When shapes disagree.
    """

    locations: Locations
    genes: Array
    mean: Float[np.ndarray, "n g"]
    sd: Float[np.ndarray, "n g"] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        genes = np.asarray(self.genes, dtype=str)
        shape = (len(self.locations), len(genes))
        for name in ("mean", "sd"):
            part = getattr(self, name)
            if part is not None and part.shape != shape:
                raise DataError(f"Expected {name} of shape {shape}, got {part.shape}.")
        object.__setattr__(self, "genes", frozen(genes))

    def __repr__(self) -> str:
        return as_text("Prediction", self._summary)

    def _repr_html_(self) -> str:
        return as_html("Prediction", self._summary)

    @property
    def _summary(self) -> dict[str, str]:
        sd = "no standard deviations" if self.sd is None else "with standard deviations"
        return prediction_summary(self.locations, self.genes, sd=sd)

    def __len__(self) -> int:
        return len(self.locations)

    def columns(self, genes: Sequence[str] | Array) -> Int[np.ndarray, " g"]:
        """Return the columns of ``mean`` that hold ``genes``, in the order of ``genes``.

        Raises
        ------
        UsageError
            For a gene that was not predicted; the message offers similar names.
        """
        return positions_or_refuse(genes, self.genes, "genes predicted")

    def take(self, index: Any) -> Prediction:
        """Return the prediction at the locations ``index``."""
        sd = None if self.sd is None else self.sd[index]
        locations = self.locations.take(index)
        return Prediction(locations, self.genes, self.mean[index], sd, provenance=self.provenance)


def prediction_summary(locations: Locations, genes: Array, **more: str) -> dict[str, str]:
    """Return what a notebook shows of a prediction."""
    measured = int(locations.observed.sum())
    some = ", ".join(genes[:_NAMED].tolist())
    return {
        "size": f"{plural(len(locations), 'location')} × {plural(len(genes), 'gene')}",
        "measured": f"{measured} measured",
        "values": "log1p(CP10k)",
        **more,
        "genes": f"{some}, …" if len(genes) > _NAMED else some,
    }
