"""Locations per second of the built-in encoders, patch by patch and dense, side by side, reading included.

Grids of locations on the synthetic slide; patches are timed on a sample of each grid, as their time does not depend on
the spacing. Dense encoders use as many cores as OMP_NUM_THREADS says.

OMP_NUM_THREADS=2 python benchmarks/texture_speed.py [--spacing 8 25 100]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from histosge._runtime.parallel import cores
from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.images.slide import SlideImage

# patches timed at each spacing
_SAMPLE = 4000


def rates(slide: SlideImage, name: str, xy_um: np.ndarray) -> tuple[float, float]:
    """Return locations a second by the clock and by processor time."""
    encoder = load_encoder(name)
    # the first call imports and warms up
    embed(slide, xy_um[:64], encoder)
    clock, processor = time.perf_counter(), time.process_time()
    embed(slide, xy_um, encoder)
    return len(xy_um) / (time.perf_counter() - clock), len(xy_um) / (time.process_time() - processor)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spacing", type=float, nargs="+", default=[8.0, 25.0, 100.0])
    parser.add_argument("--encoders", nargs="+", default=["texture", "filters"])
    options = parser.parse_args()
    slide = synthetic().section.slide
    assert slide is not None
    print(f"{cores()} cores; locations a second by the clock (of processor time)")
    print("| encoder | spacing, µm | locations | patches | dense | ratio |\n|---|--:|--:|--:|--:|--:|")
    for name in options.encoders:
        for spacing in options.spacing:
            axis = np.arange(spacing / 2, min(slide.size_um), spacing)
            grid = np.stack(np.meshgrid(axis, axis), axis=2).reshape(-1, 2)
            sample = np.random.default_rng(0).permutation(grid)[:_SAMPLE]
            (slow, slow_own), (fast, fast_own) = (
                rates(slide, name, sample),
                rates(slide, name + "@dense", grid),
            )
            print(
                f"| `{name}` | {spacing:g} | {len(grid)} | {slow:.0f} ({slow_own:.0f}) | {fast:.0f} ({fast_own:.0f}) "
                f"| {fast / slow:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
