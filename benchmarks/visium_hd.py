"""Visium HD: time and memory of reading, and what is known where bins are lost, of half the width, or outside.

    histosge make-visium-hd hd --side-mm 1.3
    python benchmarks/visium_hd.py lost hd --side-mm 1.3 [--bin-um 16] [--genes hvg:300]
    python benchmarks/visium_hd.py read hd [--bin-um 8]
    python benchmarks/visium_hd.py fit hd --side-mm 1.8 --bin-um 8 --how streamed   # or dense

``hd`` is a folder of ``histosge make-visium-hd``, whose truth follows from the same options. Scores are correlations
over locations of the prediction with the truth, means over genes that have a pattern.
"""

from __future__ import annotations

import argparse
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

import histosge as hs
from histosge._runtime.provenance import peak_memory_bytes
from histosge.datasets.visium_hd import HDCapture
from histosge.geometry.points import Points
from histosge.section.expression import log_cp10k
from histosge.section.splits import blocks
from histosge.workflow.beyond_spots import known_by_distance, with_error_away
from histosge.workflow.encode import encode, encoder_for

_FLAT = "FLAT"
# nearest bins of the plain mean that predictions are compared with
_NEAREST = 8
_EDGES_UM = (0, 25, 50, 100, 200, 400, 800, 1600)


def read(folder: Path, bin_um: float | None) -> None:
    """Print time and memory of reading a section and hashing its content."""
    start, cpu = time.perf_counter(), time.process_time()
    section = hs.read(folder / "outs", image=folder / "tissue_image.tif", bin_um=bin_um)
    print(f"{len(section)} bins × {len(section.genes)} genes, {section.counts.nnz} values")
    print(f"read: {time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s of processor time")
    print(f"fingerprint {section.fingerprint}; peak memory {peak_memory_bytes() / 1e9:.2f} GB")


def locations(section: hs.Section, xy_um: np.ndarray, diameter_um: float) -> hs.Locations:
    """Return positions as locations that were not measured in a section."""
    names = np.array([f"at_{row}" for row in range(len(xy_um))])
    return hs.Locations(
        Points(xy_um, names, diameter_um),
        section.lattice.to_lattice(xy_um),
        parent=cKDTree(section.spots.xy).query(xy_um)[1],
        subspot=np.full(len(xy_um), -1),
        observed=np.zeros(len(xy_um), dtype=bool),
        in_tissue=np.ones(len(xy_um), dtype=bool),
    )


def agreement(values: np.ndarray, truth: np.ndarray, genes: np.ndarray) -> float:
    """Return the mean correlation over genes with a pattern."""
    kept = np.array([not str(name).startswith(_FLAT) for name in genes])
    a = values[:, kept] - values[:, kept].mean(axis=0)
    b = truth[:, kept] - truth[:, kept].mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return float(np.nanmean(r))


class Trial:
    """A section with its truth, some of whose bins are left out, predicted elsewhere."""

    def __init__(self, section: hs.Section, capture: HDCapture, recipe: hs.Recipe, store: Path) -> None:
        self.section, self.capture, self.recipe = section, capture, recipe
        self.compute = hs.Compute(store=store)

    def scored(self, name: str, kept: np.ndarray, xy_um: np.ndarray, *, width_um: float, bands: bool) -> None:
        """Fit the bins kept, predict positions, and print a row, or one for each distance from the bins kept."""
        section = self.section.take(kept)
        fit = hs.fit(section, self.recipe, compute=self.compute)
        there = locations(section, xy_um, 2 * width_um / np.pi**0.5)
        inputs = encode(section, there, needs=fit.model.needs, encoder=fit.encoder, compute=self.compute)
        prediction = fit.predictor.factored(fit.inputs(inputs))
        genes = np.asarray(fit.panel.names)
        names = [str(gene) for gene in genes]
        values = prediction.only(names).whole(names).mean
        after, away = with_error_away(prediction, fit, section, self.compute) if bands else (prediction, None)
        columns = self.section.columns(genes)
        truth = self.capture.tissue.truth(xy_um, 2 * width_um / np.pi**0.5, columns=columns)
        measured = log_cp10k(section.counts, columns=columns).toarray()
        distance, near = cKDTree(section.spots.xy).query(xy_um, k=_NEAREST)
        plain = {"nearest bin": measured[near[:, 0]], f"mean of {_NEAREST} bins": measured[near].mean(axis=1)}
        edges = [*_EDGES_UM] if bands else [0, np.inf]
        for low, high in pairwise(edges):
            rows = (distance[:, 0] >= low) & (distance[:, 0] < high)
            if rows.sum() < 50:
                continue
            where = f"{name}, {low:g} to {high:g} µm" if bands else name
            scores = [agreement(part[rows], truth[rows], genes) for part in (values, *plain.values())]
            print(
                f"| {where} | {rows.sum()} | " + " | ".join(f"{score:.3f}" for score in scores) + " |",
                flush=True,
            )
        if bands:
            for what, known in (
                ("before", known_by_distance(section, prediction)),
                ("after", known_by_distance(section, after, away)),
            ):
                shares = ", ".join(f"{row.known_share:.2f} to {row.to_um:.0f} µm" for row in known)
                print(f"  stated {what}: {shares}", flush=True)


def lost(folder: Path, capture: HDCapture, bin_um: float, genes: str) -> None:
    """Print the table of what is known where nothing was measured."""
    section = hs.read(folder / "outs", image=folder / "tissue_image.tif", bin_um=bin_um)
    trial = Trial(section, capture, hs.Recipe(genes=genes), folder / "features")
    xy_um, rng = section.spots.xy, np.random.default_rng(0)
    print(f"{len(section)} bins of {bin_um:g} µm, {genes}")
    print(f"| | locations | predicted | nearest bin | mean of {_NEAREST} bins |")
    print("|---|--:|--:|--:|--:|")
    is_lost = rng.random(len(section)) < 0.1
    trial.scored("bins lost at random", ~is_lost, xy_um[is_lost], width_um=bin_um, bands=False)
    split = blocks(xy_um, width_um=300.0, fraction=0.15, seed=0)
    kept = np.isin(np.arange(len(section)), split.training)
    trial.scored("blocks of 300 µm lost", kept, xy_um[split.test], width_um=bin_um, bands=True)
    half = xy_um[:, 0] < np.median(xy_um[:, 0])
    trial.scored("other half", half, xy_um[~half], width_um=bin_um, bands=True)
    fine = capture.centres_um(int(bin_um / 2))
    fine = fine[capture.tissue.inside(fine)]
    fine = fine[cKDTree(xy_um).query(fine)[0] < bin_um]
    fine = fine[np.sort(rng.permutation(len(fine))[:10_000])]
    trial.scored(
        f"{bin_um / 2:g} µm within bins", np.ones(len(section), bool), fine, width_um=bin_um / 2, bands=False
    )


def timed_fit(folder: Path, capture: HDCapture, bin_um: float, genes: str, *, streamed: bool) -> None:
    """Fit all bins block by block or at once; print time, memory, and agreement with the truth at the bins."""
    section = hs.read(folder / "outs", image=folder / "tissue_image.tif", bin_um=bin_um)
    compute = hs.Compute(store=folder / "features")
    recipe = hs.Recipe(genes=genes, options={"streamed": 1 if streamed else len(section)})
    spots = hs.at_spots(section)
    model = recipe.build()
    encode(
        section,
        spots,
        needs=model.needs,
        encoder=encoder_for(section, recipe, needs=model.needs),
        compute=compute,
    )
    before, cpu = peak_memory_bytes(), time.process_time()
    fit = hs.fit(section, recipe, compute=compute)
    cpu, peak = time.process_time() - cpu, peak_memory_bytes()
    estimate = model.fit_bytes(len(section), len(fit.genes))
    prediction = hs.predict(fit, section, spots, compute=compute)
    columns = section.columns(prediction.genes)
    truth = capture.tissue.truth(section.spots.xy, 2 * bin_um / np.pi**0.5, columns=columns)
    r = agreement(prediction.mean, truth, prediction.genes)
    basis = fit.predictor.basis
    print(f"{len(section)} bins × {len(columns)} genes, {'streamed' if streamed else 'dense'}")
    print(f"  {cpu:.0f} s of processor time; peak {peak / 1e9:.2f} GB, before the fit {before / 1e9:.2f} GB")
    print(f"  memory estimated beforehand {estimate / 1e9:.2f} GB")
    print(f"  r with the truth {r:.4f}; at bins left out, with measurements {np.nanmean(basis.r_loo):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("read", "lost", "fit"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bin-um", type=float)
    parser.add_argument("--side-mm", type=float, default=6.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--genes", default="hvg:300")
    parser.add_argument("--how", choices=("streamed", "dense"), default="streamed")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.what == "read":
        read(arguments.folder, arguments.bin_um)
        return
    capture = HDCapture(arguments.side_mm, seed=arguments.seed)
    if arguments.what == "fit":
        streamed = arguments.how == "streamed"
        timed_fit(arguments.folder, capture, arguments.bin_um or 8.0, arguments.genes, streamed=streamed)
        return
    lost(arguments.folder, capture, arguments.bin_um or 16.0, arguments.genes)


if __name__ == "__main__":
    main()
