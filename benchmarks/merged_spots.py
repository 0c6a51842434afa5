"""Prediction inside a spot, on real sections: seven neighbouring spots are measured as one, and each is predicted.

    python benchmarks/merged_spots.py SECTION… [--genes 1000] [--seed 0]

Spots of a Visium array fall into hexagons of seven. The molecules of each hexagon are added up, as a spot of 255 µm
would have counted them, √7 pitches from the next; the spots themselves, 55 µm wide, are predicted. Count splitting
divides all molecules at random into two halves first: one is measured, the other is the truth, so that no noise of the
first is in the second. A merged spot has the image features of its middle. ``r`` is the correlation over all spots,
mean over genes. ``inside`` is the same after the mean of each hexagon was subtracted from both sides: what the
merged spot does not contain. ``nearest`` and ``cubic`` interpolate. ``no short range`` is
cokriging without ``short_range_um``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from divided_section import arguments_of, mean_pcc
from scipy import sparse
from scipy.interpolate import griddata

import histosge as hs
from histosge.evaluation.study import Study, encode_study
from histosge.models import predict
from histosge.section.expression import depth, log_cp10k
from histosge.section.genes import select
from histosge.section.inputs import Inputs, Samples

_MERGED_UM = 255.0


@dataclass(frozen=True)
class MergedSpots:
    """Samples of merged spots, the spots to predict, their truth, and the hexagon of each."""

    samples: Samples
    spots: Inputs
    truth: np.ndarray
    hexagon: np.ndarray


def middles(section: hs.Section) -> np.ndarray:
    """Return for each spot the row of the middle of its hexagon, −1 where that hexagon is not complete."""
    column, row = np.rint(section.lattice_xy).astype(int).T
    # axial coordinates of a hexagonal lattice: neighbours differ by (±1, 0), (0, ±1), ±(1, −1), and q + 3 r
    # distinguishes the seven spots of a hexagon
    q, r = (column - row) // 2, row
    spot_at = {position: index for index, position in enumerate(zip(q.tolist(), r.tolist(), strict=True))}
    steps = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1))
    rows = np.full(len(q), -1)
    for (q0, r0), middle in spot_at.items():
        members = [spot_at.get((q0 + a, r0 + b)) for a, b in steps]
        if (q0 + 3 * r0) % 7 == 0 and None not in members:
            rows[members] = middle
    return rows


def merge(section: hs.Section, genes: int, seed: int) -> MergedSpots:
    """Add up the molecules of each hexagon, after count splitting."""
    middle = middles(section)
    inside = np.flatnonzero(middle >= 0)
    unique, hexagon = np.unique(middle[inside], return_inverse=True)
    inputs = encode_study(Study.of(section), hs.Recipe())
    inputs = replace(inputs, features=np.asarray(inputs.features[:]))
    rng = np.random.default_rng(seed)
    measured, other = section.counts.copy(), section.counts.copy()
    measured.data = rng.binomial(section.counts.data.astype(np.int64), 0.5).astype(np.float64)
    other.data = section.counts.data - measured.data
    shape = (len(unique), len(section))
    counts = (sparse.csr_matrix((np.ones(len(inside)), (hexagon, inside)), shape=shape) @ measured).tocsr()
    panel = select(section, f"hvg:{genes}")
    expression = log_cp10k(counts, columns=panel.columns).toarray()
    wide, spots = inputs.take(unique), inputs.take(inside)
    points = replace(wide.locations.points, diameter_um=_MERGED_UM)
    wide = replace(wide, locations=replace(wide.locations, points=points))
    unmeasured = replace(spots.locations, observed=np.zeros(len(inside), dtype=bool))
    truth = log_cp10k(other, columns=panel.columns).toarray()[inside]
    samples = Samples(wide, expression, section.genes[panel.columns], depth(counts))
    return MergedSpots(samples, replace(spots, locations=unmeasured), truth, hexagon)


def centred(values: np.ndarray, hexagon: np.ndarray) -> np.ndarray:
    """Return values minus the mean of their hexagon."""
    total = np.zeros((hexagon.max() + 1, values.shape[1]))
    np.add.at(total, hexagon, values)
    return values - (total / np.bincount(hexagon)[:, None])[hexagon]


def predictions(merged: MergedSpots) -> dict[str, np.ndarray]:
    """Return the prediction of each method."""
    xy, spots = merged.samples.inputs.locations.xy, merged.spots.locations.xy
    expression = merged.samples.expression
    nearest, cubic = (griddata(xy, expression, spots, method=method) for method in ("nearest", "cubic"))
    # the cubic interpolant is undefined outside the outermost middles
    predicted = {"nearest": nearest, "cubic": np.where(np.isfinite(cubic), cubic, nearest)}
    options: dict[str, dict[str, object]] = {
        f"{'image' if image else 'positions'}, {'disk' if support else 'point'}": {
            "image": image,
            "support": support,
        }
        for image in (False, True)
        for support in (False, True)
    }
    options["image, no short range"] = {"short_range_um": None}
    for label, values in options.items():
        predictor = hs.Recipe(options=values).build().fit(merged.samples, seed=0)
        predicted[label] = predict(predictor, merged.spots).mean
    return predicted


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the count splitting")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("section         method                      r  inside     MSE")
    for path in arguments.sections:
        section = hs.read(path)
        merged = merge(section, arguments.genes, arguments.seed)
        truth, hexagon = merged.truth, merged.hexagon
        for label, prediction in predictions(merged).items():
            r = mean_pcc(truth, prediction)
            inside = mean_pcc(centred(truth, hexagon), centred(prediction, hexagon))
            mse = ((truth - prediction) ** 2).mean()
            print(f"{section.name:15s} {label:22s} {r:8.4f} {inside:7.4f} {mse:7.4f}", flush=True)


if __name__ == "__main__":
    main()
