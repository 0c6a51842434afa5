"""Detection: the tiles in which a gene is above a threshold, with a bounded share of false ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.names import positions_or_refuse
from histosge._runtime.types import Array, Bool, Float, frozen
from histosge.errors import DataError
from histosge.section.tiles import Tiles

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Detection"]


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """In which tiles genes are above a threshold.

    What is said of a detected tile: spots in it would measure a mean above the threshold. Of the detected tiles of a
    gene a share of at most ``fdr`` is expected to be false.

    Parameters
    ----------
    genes
        Names.
    above
        Threshold of each gene, log1p(CP10k).
    fdr
        Expected share of false ones among the detected tiles of a gene, at most.
    tiles
        The tiles.
    mean, sd
        Predicted mean of the spots in each tile, and its standard deviation as a measurement.
    p, q
        Conformal p-value of each tile, and the smallest false-discovery rate at which it is detected (Benjamini &
        Hochberg 1995), gene by gene.
    calibration_tiles
        Number of tiles, predicted without their spots, that the p-values rest on.
    reasons
        Why nothing was detected, for each gene; empty where it was tested.

    Raises
    ------
    DataError
        When shapes disagree.
    """

    genes: Array
    above: Float[np.ndarray, " g"]
    fdr: float
    tiles: Tiles
    mean: Float[np.ndarray, "n g"]
    sd: Float[np.ndarray, "n g"]
    p: Float[np.ndarray, "n g"]
    q: Float[np.ndarray, "n g"]
    calibration_tiles: int
    reasons: tuple[str, ...]

    def __post_init__(self) -> None:
        genes = np.asarray(self.genes, dtype=str)
        shape = (len(self.tiles), len(genes))
        for name in ("mean", "sd", "p", "q"):
            part: Array = getattr(self, name)
            if part.shape != shape:
                raise DataError(f"Expected {name} of {shape}, got {part.shape}.")
            object.__setattr__(self, name, frozen(part))
        if not len(self.above) == len(self.reasons) == len(genes):
            raise DataError(f"Expected thresholds and reasons of {len(genes)} genes.")
        object.__setattr__(self, "genes", frozen(genes))

    def __repr__(self) -> str:
        return f"Detection({'; '.join(self.sentences)})"

    @property
    def detected(self) -> Bool[np.ndarray, "n g"]:
        """Whether each gene is detected in each tile."""
        return np.asarray(self.q <= self.fdr)

    @property
    def area_mm2(self) -> Float[np.ndarray, " g"]:
        """Area of the detected tiles of each gene."""
        return np.asarray(self.detected.sum(axis=0) * (self.tiles.width_um / 1000) ** 2)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is said of each gene."""
        rows = zip(
            self.genes, self.above, self.detected.sum(axis=0), self.area_mm2, self.reasons, strict=True
        )
        of = f"of {len(self.tiles)} tiles of {self.tiles.width_um:g} µm"
        return tuple(
            f"{gene} is above {above:.3g} in {number} {of} ({area:.3g} mm²); of these at most {self.fdr:.0%} are "
            "expected to be false"
            if number
            else f"{gene} is detected above {above:.3g} in none {of}" + (f": {reason}" if reason else "")
            for gene, above, number, area, reason in rows
        )

    def only(self, genes: Sequence[str]) -> Detection:
        """Return the same for these genes, in this order.

        Raises
        ------
        UsageError
            For a gene that was not tested.
        """
        rows = positions_or_refuse(genes, self.genes, "genes tested")
        parts = {name: getattr(self, name)[:, rows] for name in ("mean", "sd", "p", "q")}
        reasons = tuple(self.reasons[row] for row in rows)
        return replace(self, genes=self.genes[rows], above=self.above[rows], reasons=reasons, **parts)

    def summary(self) -> dict[str, Any]:
        """Return plain values: of each gene its threshold, number and area of its detected tiles, and a sentence."""
        number = self.detected.sum(axis=0).tolist()
        parts = zip(self.above.tolist(), number, self.area_mm2.tolist(), self.sentences, strict=True)
        names = ("above", "detected", "area_mm2", "statement")
        return {
            "genes": {
                str(gene): dict(zip(names, values, strict=True))
                for gene, values in zip(self.genes, parts, strict=True)
            },
            "tiles": len(self.tiles),
            "tile_um": self.tiles.width_um,
            "fdr": self.fdr,
            "calibration_tiles": self.calibration_tiles,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a table: a row for each gene and tile."""
        import pandas as pd

        n, detected = len(self.tiles), self.detected
        frames = [
            pd.DataFrame(
                {
                    "gene": gene,
                    "tile": self.tiles.ids,
                    "x_um": self.tiles.centres_um[:, 0],
                    "y_um": self.tiles.centres_um[:, 1],
                    "above": np.full(n, self.above[row]),
                    "predicted": self.mean[:, row],
                    "sd": self.sd[:, row],
                    "p": self.p[:, row],
                    "q": self.q[:, row],
                    "detected": detected[:, row],
                }
            )
            for row, gene in enumerate(self.genes)
        ]
        return pd.concat(frames, ignore_index=True)
