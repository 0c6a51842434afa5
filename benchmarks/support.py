"""What it is worth to know that a spot is a disk: errors between the spots against a truth known at every point.

    python benchmarks/support.py --seeds 0 1 2

A synthetic tissue is measured through wide spots (each measures the mean rates over its disk) and predicted on a grid
of a quarter of the pitch, which the truth is known on. ``disk`` and ``point`` are cokriging with and without
``support``; ``cubic`` interpolates the measured values (SciPy's Clough–Tocher scheme: piecewise cubics on a
triangulation). All are scored at the same places: those with at least six spots within 1.5 pitches, which lie among
spots on all sides and whose windows show tissue. ``fine`` is the error of the genes that follow the density of nuclei,
which changes within a pitch and is what a wide spot blurs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from scipy.interpolate import griddata
from scipy.spatial import cKDTree

import histosge
from histosge.datasets import Synthetic, synthetic
from histosge.models import build_model, predict
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.section.locations import Locations, at_spots, grid
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode, encoder_for

# pitch, diameter and lattice of what is measured
LAYOUTS = {
    "Visium, 55 µm of 100": ("hexagonal", 55.0),
    "wide, 95 µm of 100": ("hexagonal", 95.0),
    "legacy, 100 µm of 200": ("square", 100.0),
    "wide legacy, 190 µm of 200": ("square", 190.0),
}


def places_of(section: histosge.Section) -> Locations:
    """Return a grid of a quarter of the pitch, among spots on all sides."""
    places = grid(section, section.pitch_um / 4)
    inside = np.isfinite(griddata(section.spots.xy, np.zeros(len(section)), places.xy, method="linear"))
    around = cKDTree(section.spots.xy).query_ball_point(places.xy, 1.5 * section.pitch_um, return_length=True)
    return places.take(np.flatnonzero(inside & (around >= 6)))


def answers(tissue: Synthetic, arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield a name, what is predicted, and the truth."""
    section = tissue.section
    places = places_of(section)
    panel = select(section, "all")
    values = log_cp10k(section.counts).toarray()
    truth = tissue.truth(places.xy)[:, panel.columns]
    values = values[:, panel.columns]
    yield "nearest", griddata(section.spots.xy, values, places.xy, method="nearest"), truth
    yield "cubic", np.maximum(griddata(section.spots.xy, values, places.xy, method="cubic"), 0.0), truth
    compute, recipe = histosge.Compute(), histosge.Recipe()
    for image in (False, True):
        for support in (False, True):
            model = build_model("cokriging", image=image, support=support, **dict(arguments.set))
            encoder = encoder_for(section, recipe, needs=model.needs, compute=compute)
            samples = samples_of(
                section,
                panel,
                encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute),
            )
            inputs = encode(section, places, needs=model.needs, encoder=encoder, compute=compute)
            found = predict(model.fit(samples, seed=0), inputs).mean
            yield f"{'image' if image else 'positions'}, {'disk' if support else 'point'}", found, truth


def _number(word: str) -> float | None:
    return None if word == "none" else float(word)


def pair(word: str) -> tuple[str, object]:
    name, _, value = word.partition("=")
    kinds: dict[str, Callable[[str], object]] = {
        "gene_weight": float,
        "factors": int,
        "short_range_um": _number,
    }
    if name == "ranges_pitches":
        return name, tuple(float(part) for part in value.split(","))
    return name, kinds[name](value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--genes", type=int, default=60)
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS))
    parser.add_argument("--set", nargs="*", type=pair, default=[], help="options of cokriging")
    arguments = parser.parse_args()
    print("layout                       answer               MSE     fine")
    for name in arguments.layouts:
        lattice, diameter_um = LAYOUTS[name]
        errors: dict[str, list[tuple[float, float]]] = {}
        for seed in arguments.seeds:
            tissue = synthetic(
                genes=arguments.genes, seed=seed, lattice=lattice, support="disk", diameter_um=diameter_um
            )
            names = tissue.section.genes[select(tissue.section, "all").columns]
            fine = np.flatnonzero([gene.startswith("NUCLEI") for gene in names])
            for answer, found, truth in answers(tissue, arguments):
                square = (found - truth) ** 2
                errors.setdefault(answer, []).append((float(square.mean()), float(square[:, fine].mean())))
        for answer, rows in errors.items():
            whole, fine_error = np.mean(rows, axis=0)
            print(f"{name:28s} {answer:18s} {whole:8.5f} {fine_error:8.5f}", flush=True)


if __name__ == "__main__":
    main()
