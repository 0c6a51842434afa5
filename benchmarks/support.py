"""What block support is worth: errors between the spots against a truth that is known at every point.

    python benchmarks/support.py --seeds 0 1 2

A synthetic tissue is measured through wide spots (each measures the mean rates over its disk) and predicted on a grid
of a quarter of the pitch, where the truth is known. ``disk`` and ``point`` are cokriging with and without ``support``;
``cubic`` interpolates the measured values (SciPy's Clough–Tocher scheme: piecewise cubics on a triangulation). All are
scored at the same locations: those with at least six spots within 1.5 pitches, which have spots on all sides and whose
patches show tissue. ``fine`` is the error of the genes that follow the density of nuclei, which changes within a pitch
and is what a wide spot blurs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from divided_section import encoded
from scipy.interpolate import griddata
from scipy.spatial import cKDTree

import histosge as hs
from histosge.datasets import Synthetic, synthetic
from histosge.models import predict
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.workflow.encode import encode, encoder_for

# lattice and diameter of the spots, by pitch and diameter
LAYOUTS = {
    "Visium, 55 µm of 100": ("hexagonal", 55.0),
    "wide, 95 µm of 100": ("hexagonal", 95.0),
    "legacy, 100 µm of 200": ("square", 100.0),
    "wide legacy, 190 µm of 200": ("square", 190.0),
}


def locations_among_spots(section: hs.Section) -> hs.Locations:
    """Return a grid of a quarter of the pitch, with spots on all sides."""
    locations = hs.grid(section, section.pitch_um / 4)
    xy, spots = locations.xy, section.spots.xy
    inside = np.isfinite(griddata(spots, np.zeros(len(section)), xy, method="linear"))
    neighbours = cKDTree(spots).query_ball_point(xy, 1.5 * section.pitch_um, return_length=True)
    return locations.take(np.flatnonzero(inside & (neighbours >= 6)))


def predictions(
    tissue: Synthetic, options: dict[str, object]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name of a method, its prediction, and the truth."""
    section = tissue.section
    locations = locations_among_spots(section)
    columns = select(section, "all").columns
    measured = log_cp10k(section.counts, columns=columns).toarray()
    truth = tissue.truth(locations.xy)[:, columns]
    nearest, cubic = (
        griddata(section.spots.xy, measured, locations.xy, method=method) for method in ("nearest", "cubic")
    )
    yield "nearest", nearest, truth
    yield "cubic", np.maximum(cubic, 0.0), truth
    for image in (False, True):
        for support in (False, True):
            recipe = hs.Recipe(options={"image": image, "support": support, **options}, genes="all")
            needs = recipe.build().needs
            encoder = encoder_for(section, recipe, needs=needs)
            inputs = encode(section, locations, needs=needs, encoder=encoder)
            prediction = predict(recipe.build().fit(encoded(section, recipe), seed=0), inputs).mean
            label = f"{'image' if image else 'positions'}, {'disk' if support else 'point'}"
            yield label, prediction, truth


def _number(text: str) -> float | None:
    return None if text == "none" else float(text)


def option(text: str) -> tuple[str, object]:
    """Read an option of cokriging, as ``name=value``."""
    name, _, value = text.partition("=")
    if name == "ranges_pitches":
        return name, tuple(float(part) for part in value.split(","))
    types: dict[str, Callable[[str], object]] = {
        "gene_weight": float,
        "factors": int,
        "short_range_um": _number,
    }
    return name, types[name](value)


def errors(
    layout: str, seed: int, arguments: argparse.Namespace
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the name of a method, its error, and that of the genes that change within a pitch."""
    lattice, diameter_um = LAYOUTS[layout]
    tissue = synthetic(
        genes=arguments.genes, seed=seed, lattice=lattice, support="disk", diameter_um=diameter_um
    )
    names = tissue.section.genes[select(tissue.section, "all").columns]
    fine = np.flatnonzero([gene.startswith("NUCLEI") for gene in names])
    for label, prediction, truth in predictions(tissue, dict(arguments.set)):
        square = (prediction - truth) ** 2
        yield label, (float(square.mean()), float(square[:, fine].mean()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--genes", type=int, default=60)
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS))
    parser.add_argument("--set", nargs="*", type=option, default=[], help="options of cokriging")
    arguments = parser.parse_args()
    print("layout                       method               MSE     fine")
    for layout in arguments.layouts:
        by_method: dict[str, list[tuple[float, float]]] = {}
        for seed in arguments.seeds:
            for label, pair in errors(layout, seed, arguments):
                by_method.setdefault(label, []).append(pair)
        for label, pairs in by_method.items():
            mse, fine = np.mean(pairs, axis=0)
            print(f"{layout:28s} {label:18s} {mse:8.5f} {fine:8.5f}", flush=True)


if __name__ == "__main__":
    main()
