"""A tissue of cells whose expected expression is known: the finer truth of the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from histosge.datasets.synthetic import Synthetic, synthetic
from histosge.evaluation.fine_truth.truth import FineTruth
from histosge.geometry.points import Points


def cells_of(
    tissue: Synthetic, number: int = 4000, *, molecules: float = 150.0, depth_sd: float = 0.4, seed: int = 0
) -> FineTruth:
    """Return cells at random positions among the spots of a tissue, with Poisson counts of its rates there."""
    rng = np.random.default_rng(seed)
    spots = tissue.section.spots.xy
    xy_um = spots[rng.integers(len(spots), size=number)] + rng.uniform(-50, 50, (number, 2))
    rates = np.expm1(tissue.truth(xy_um)) / 1e4
    counts = rng.poisson(molecules * rng.lognormal(-0.1, depth_sd, number)[:, None] * rates).astype(float)
    names = np.array([f"CELL-{cell}" for cell in range(number)])
    slide = tissue.section.slide
    return FineTruth(
        "cells", sparse.csr_matrix(counts), tissue.section.genes, Points(xy_um, names), slide=slide
    )


def small_tissue(genes: int = 18, seed: int = 0) -> Synthetic:
    """Return a tissue of 12 × 14 spots."""
    return synthetic(columns=12, rows=14, genes=genes, seed=seed)


def write_cells(truth: FineTruth, folder: Path, *, mpp: float = 2.0) -> Path:
    """Write cells as a folder of a table and an image, with µm turned by a quarter against the image."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    x, y = truth.points.xy.T
    columns = {
        "cell_id": truth.points.ids,
        "x_um": 5000.0 - y,
        "y_um": x,
        "pixel_x": x / mpp,
        "pixel_y": y / mpp,
    }
    table = pd.DataFrame(columns | {"area_um2": np.full(len(truth), 40.0)})
    counts = pd.DataFrame(truth.counts.toarray().astype(int), columns=truth.genes)
    pd.concat([table, counts], axis=1).to_csv(folder / "cells.csv.gz", index=False)
    if truth.slide is not None:
        Image.fromarray(truth.slide.thumbnail(mpp)).save(folder / "he.png")
    return folder
