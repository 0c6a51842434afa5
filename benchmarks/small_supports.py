"""Single cells as measured samples: scales of expression, and noise by depth, where counts are few.

    python benchmarks/small_supports.py ../shared/data/xenium_breast_rep1

2400 cells of a strip of 1.4 mm; half are fitted, half are scored. The reduced cokriging of ``image_support.py`` is
fitted on each scale: log1p of counts per 10 000 or per the median depth, their root (which stabilises the variance of
a Poisson count), and Pearson residuals of a negative binomial count with overdispersion 0.01. The variance of the
noise of a cell is 1, or its depth to the power of −½ or −1. Predictions on every scale are correlated with
log1p(CP10k) and with the root of the rates.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from image_support import Cokriging, Row, Spots, scores

from histosge.evaluation.fine_truth.read_truth import read_truth

CELLS, HALF_STRIP_UM, LEAST_MOLECULES, LEAST_CELLS = 2400, 700.0, 10, 20
# a cell stands for a disk; neighbouring sampled cells are about so far apart
CELL_UM, SPACING_UM = 10.0, 35.0
POWERS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Sample:
    """Cells: positions, counts, depths, and which are fitted."""

    xy_um: np.ndarray
    counts: np.ndarray
    depths: np.ndarray
    training: np.ndarray
    test: np.ndarray

    @property
    def scales(self) -> dict[str, np.ndarray]:
        """Expression on each scale."""
        rates, median = self.counts / self.depths[:, None], np.median(self.depths)
        share = self.counts[self.training].sum(axis=0) / self.counts[self.training].sum()
        expected = np.outer(self.depths, share)
        return {
            "log1p(CP10k)": np.log1p(rates * 1e4),
            "log1p(counts at the median depth)": np.log1p(rates * median),
            "root of counts at the median depth": np.sqrt(rates * median),
            "Pearson residuals": (self.counts - expected) / np.sqrt(expected + 0.01 * expected**2),
        }


def sample(path: Path, seed: int) -> tuple[Sample, object]:
    """Return cells of a strip, and the image."""
    truth, rng = read_truth(path), np.random.default_rng(seed)
    depths = np.asarray(truth.counts.sum(axis=1)).ravel()
    across = truth.points.xy[:, 0]
    strip = np.flatnonzero((abs(across - np.median(across)) < HALF_STRIP_UM) & (depths >= LEAST_MOLECULES))
    rows = rng.permutation(strip)[:CELLS]
    counts = truth.counts[rows].toarray().astype(float)
    training, test = np.split(rng.permutation(len(rows)), 2)
    genes = (counts[training] > 0).sum(axis=0) >= LEAST_CELLS
    return Sample(truth.points.xy[rows], counts[:, genes], depths[rows], training, test), truth.slide


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cells, slide = sample(arguments.truth, arguments.seed)
    training, test, depths = cells.training, cells.test, cells.depths
    judged = [cells.scales["log1p(CP10k)"][test], np.sqrt(cells.counts / depths[:, None])[test]]
    names = np.arange(cells.counts.shape[1]).astype(str)
    print("| scale | noise | r with log1p(CP10k) | given depth | r with roots of rates | given depth |")
    for scale, values in cells.scales.items():
        spots = Spots(
            cells.xy_um[training],
            values[training],
            depths[training],
            training.astype(str),
            names,
            CELL_UM,
            SPACING_UM,
        )
        for power in POWERS:
            model = Cokriging(spots, arguments.seed, (depths[training] / np.median(depths)) ** -power)
            model.fit(Row("one patch"), slide, (0.5,))
            prediction = model.predict(cells.xy_um[test], CELL_UM)
            shown = [f"{value:.4f}" for truth in judged for value in scores(truth, prediction, depths[test])]
            print(f"| {scale} | depth^-{power:g} |", " | ".join(shown), "|", flush=True)


if __name__ == "__main__":
    main()
