"""Locations per second of UNI's network (ViT-L/16), patch by patch and dense, side by side on one tile.

Speed does not depend on the values of the weights: random ones replace UNI's gated ones. Patches are timed on a sample,
as their time does not depend on the spacing.

    python benchmarks/dense_network_speed.py --precision bf16
    python benchmarks/dense_network_speed.py --device cuda --patches 512
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from uni_speed import save_random_weights

from histosge._runtime.device import resolve_device
from histosge.encoders import Setup, load_encoder
from histosge.encoders.base import Encoder
from histosge.encoders.dense import DenseEncoder
from histosge.encoders.embed import embed
from histosge.images.slide import SlideImage


def rate(slide: SlideImage, xy_um: np.ndarray, encoder: Encoder) -> tuple[float, float]:
    """Return locations a second by the clock, and of processor time."""
    embed(slide, xy_um[:1], encoder) if not isinstance(encoder, DenseEncoder) else None
    clock, processor = time.perf_counter(), time.process_time()
    embed(slide, xy_um, encoder)
    return len(xy_um) / (time.perf_counter() - clock), len(xy_um) / (time.process_time() - processor)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patches", type=int, default=32)
    parser.add_argument("--spacing", type=float, nargs="+", default=[25.0, 8.0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    pixels = np.random.default_rng(0).integers(0, 256, (3600, 3600, 3), dtype=np.uint8)
    slide = SlideImage.from_array(pixels, mpp=0.5)
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(resolve_device(options.device), options.precision, save_random_weights(Path(folder)))
        usual, dense = load_encoder("uni", setup), load_encoder("uni@dense", setup)
    assert isinstance(dense, DenseEncoder)
    print(f"{options.device}, {options.precision}; locations a second by the clock (of processor time)")
    print("| spacing, µm | locations | patches | dense | ratio |\n|--:|--:|--:|--:|--:|", flush=True)
    for spacing in options.spacing:
        axis = np.arange(spacing / 2, dense.tile_um, spacing)
        grid = np.stack(np.meshgrid(axis, axis), axis=2).reshape(-1, 2)
        sample = np.random.default_rng(0).permutation(grid)[: options.patches]
        slow, slow_own = rate(slide, sample, usual)
        fast, fast_own = rate(slide, grid, dense)
        print(
            f"| {spacing:g} | {len(grid)} | {slow:.2f} ({slow_own:.2f}) | {fast:.1f} ({fast_own:.1f}) "
            f"| {fast / slow:.1f} ({fast_own / slow_own:.1f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
