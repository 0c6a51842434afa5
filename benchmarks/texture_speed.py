"""Locations per second of the default encoder, at three scales, reading included.

python benchmarks/texture_speed.py [--locations 8000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locations", type=int, default=8000)
    n = parser.parse_args().locations
    slide = synthetic().section.slide
    assert slide is not None
    xy_um = np.random.default_rng(0).uniform(0, min(slide.size_um), (n, 2))
    encoder = load_encoder("texture")
    # the first call compiles and warms up
    embed(slide, xy_um[:500], encoder)
    start = time.perf_counter()
    embed(slide, xy_um, encoder)
    seconds = time.perf_counter() - start
    widths = ", ".join(f"{patch.size_um:g}" for patch in encoder.card.patches)
    print(
        f"{n / seconds:.0f} locations per second ({encoder.card.dim} features each, patches of {widths} µm)"
    )


if __name__ == "__main__":
    main()
