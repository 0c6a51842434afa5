"""Predicting inside a spot, on real sections: seven neighbouring spots are measured as one, and each is predicted.

    python benchmarks/merged_spots.py SECTION… [--genes 1000] [--seed 0]

Spots of a Visium array fall into hexagons of seven. The molecules of each hexagon are added up, as a spot of 255 µm
would have counted them, √7 pitches from the next; what is asked for are the spots themselves, 55 µm wide. All molecules
are dealt into two halves at random first: one is measured, the other is what predictions are compared with, so that no
chance of the first is in the second. A merged spot looks as its middle does. ``r`` is the correlation over all spots,
mean over genes; ``inside`` the same after the mean of each hexagon was taken off both sides: what a merged spot does
not say of itself. ``nearest`` and ``cubic`` interpolate. ``no window`` is cokriging without ``short_range_um``.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.interpolate import griddata

import histosge
from histosge.metrics.pearson import pearson
from histosge.models import build_model, predict
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode, encoder_for

_MERGED_UM = 255.0


def hexagons(section: histosge.Section) -> np.ndarray:
    """Return for each spot the row of the middle of its hexagon, −1 where that hexagon is not whole."""
    column, row = np.rint(section.lattice_xy).astype(int).T
    # axial coordinates of a hexagonal lattice: neighbours differ by (±1, 0), (0, ±1), ±(1, −1), and q + 3 r tells
    # a hexagon's seven apart
    q, r = (column - row) // 2, row
    at = {place: index for index, place in enumerate(zip(q.tolist(), r.tolist(), strict=True))}
    found = np.full(len(q), -1)
    for (q0, r0), middle in at.items():
        if (q0 + 3 * r0) % 7:
            continue
        steps = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1))
        members = [at.get((q0 + a, r0 + b)) for a, b in steps]
        if None not in members:
            found[members] = middle
    return found


def merged(
    section: histosge.Section, genes: int, seed: int
) -> tuple[Samples, Inputs, np.ndarray, np.ndarray]:
    """Return samples of merged spots, the spots asked for, what was measured at them, and their hexagons."""
    middle = hexagons(section)
    asked = np.flatnonzero(middle >= 0)
    middles, group = np.unique(middle[asked], return_inverse=True)
    model, compute = build_model("cokriging"), Compute()
    encoder = encoder_for(section, histosge.Recipe(), needs=model.needs, compute=compute)
    inputs = encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute)
    inputs = replace(inputs, features=np.asarray(inputs.features[:]))
    rng = np.random.default_rng(seed)
    measured, kept_back = section.counts.copy(), section.counts.copy()
    measured.data = rng.binomial(section.counts.data.astype(np.int64), 0.5).astype(np.float64)
    kept_back.data = section.counts.data - measured.data
    belongs = sparse.csr_matrix((np.ones(len(asked)), (group, asked)), shape=(len(middles), len(section)))
    counts = (belongs @ measured).tocsr()
    panel = select(section, f"hvg:{genes}")
    expression = log_cp10k(counts).tocsc()[:, panel.columns].toarray()
    depth = np.asarray(counts.sum(axis=1)).ravel()
    wide, places = inputs.take(middles), inputs.take(asked)
    points = replace(wide.locations.points, diameter_um=_MERGED_UM)
    wide = replace(wide, locations=replace(wide.locations, points=points))
    places = replace(places, locations=replace(places.locations, observed=np.zeros(len(asked), dtype=bool)))
    truth = log_cp10k(kept_back).tocsc()[:, panel.columns].toarray()[asked]
    return Samples(wide, expression, section.genes[panel.columns], depth), places, truth, group


def inside(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return values less the mean of their hexagon."""
    total = np.zeros((group.max() + 1, values.shape[1]))
    np.add.at(total, group, values)
    return values - (total / np.bincount(group)[:, None])[group]


def answers(samples: Samples, places: Inputs) -> dict[str, np.ndarray]:
    """Return what is predicted, by name."""
    xy, asked = samples.inputs.locations.xy, places.locations.xy
    found = {
        method: griddata(xy, samples.expression, asked, method=method) for method in ("nearest", "cubic")
    }
    # beyond the outermost middles a cubic says nothing
    found["cubic"] = np.where(np.isfinite(found["cubic"]), found["cubic"], found["nearest"])
    for image in (False, True):
        for support in (False, True):
            model = build_model("cokriging", image=image, support=support)
            name = f"{'image' if image else 'positions'}, {'disk' if support else 'point'}"
            found[name] = predict(model.fit(samples, seed=0), places).mean
    bare = build_model("cokriging", short_range_um=None)
    found["image, no window"] = predict(bare.fit(samples, seed=0), places).mean
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="deals the molecules")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("section         answer                  r  inside     MSE")
    for path in arguments.sections:
        section = histosge.read(path)
        samples, places, truth, group = merged(section, arguments.genes, arguments.seed)
        for name, found in answers(samples, places).items():
            r, within = (
                np.nan_to_num(pearson(one, two)).mean()
                for one, two in ((truth, found), (inside(truth, group), inside(found, group)))
            )
            error = ((truth - found) ** 2).mean()
            print(f"{section.name:15s} {name:18s} {r:8.4f} {within:7.4f} {error:7.4f}", flush=True)


if __name__ == "__main__":
    main()
