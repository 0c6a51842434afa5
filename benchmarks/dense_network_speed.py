"""Locations per second of UNI's network (ViT-L/16), patch by patch and dense, side by side on one tile.

Speed does not depend on the values of the weights: random ones replace UNI's gated ones. Patches are timed on a sample,
as their time does not depend on the spacing; the maps of the tile are computed once for all spacings, and their time is
counted with the averaging of each. Fewer blocks take less time and show a ratio that is rather too
small: what is done beside the network weighs more.

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
from histosge.encoders.dense import read_tile
from histosge.encoders.dense_network import DenseNetworkEncoder, averaged
from histosge.encoders.embed import embed
from histosge.encoders.network import NetworkEncoder
from histosge.encoders.window_sums import Windows
from histosge.images.slide import SlideImage


def clocks() -> np.ndarray:
    """Return the time by the clock and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patches", type=int, default=32)
    parser.add_argument("--spacing", type=float, nargs="+", default=[25.0, 8.0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--blocks", type=int, default=24, help="of the network's 24")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    pixels = np.random.default_rng(0).integers(0, 256, (3600, 3600, 3), dtype=np.uint8)
    slide = SlideImage.from_array(pixels, mpp=0.5)
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(resolve_device(options.device), options.precision, save_random_weights(Path(folder)))
        usual, dense = load_encoder("uni", setup), load_encoder("uni@dense", setup)
    assert isinstance(usual, NetworkEncoder)
    assert isinstance(dense, DenseNetworkEncoder)
    for encoder in (usual, dense):
        encoder.network.blocks = encoder.network.blocks[: options.blocks]
    finest = np.arange(min(options.spacing) / 2, dense.tile_um, min(options.spacing))
    sample = np.random.default_rng(0).choice(finest, (options.patches, 2))
    # warms up
    embed(slide, sample[:1], usual)
    start = clocks()
    embed(slide, sample, usual)
    slow = options.patches / (clocks() - start)
    start = clocks()
    # the whole tile: what a grid of any spacing needs
    corners = np.array([[0.0, 0.0], [dense.tile_um, dense.tile_um]]) * (1 - 1e-9)
    (image,) = read_tile(slide, corners, dense, np.zeros(2), "rgb").images
    whole = Windows(np.zeros(1), np.zeros(1), image.shape[0] / dense.shape.token_px)
    maps = dense.tile_maps(image, whole)
    network = clocks() - start
    print(f"{options.device}, {options.precision}; locations a second by the clock (of processor time)")
    print("| spacing, µm | locations | patches | dense | ratio |\n|--:|--:|--:|--:|--:|", flush=True)
    for spacing in options.spacing:
        axis = np.arange(spacing / 2, dense.tile_um, spacing)
        centres = np.stack(np.meshgrid(axis, axis), axis=2).reshape(-1, 2) / dense.card.patches[0].mpp
        centres = (centres + dense.margins_px[0] - dense.shape.context_px) / dense.shape.token_px
        start = clocks()
        averaged(maps, Windows.around(centres, dense.card.patches[0].px / dense.shape.token_px))
        fast = len(centres) / (network + clocks() - start)
        ratio = fast / slow
        print(
            f"| {spacing:g} | {len(centres)} | {slow[0]:.2f} ({slow[1]:.2f}) | {fast[0]:.1f} ({fast[1]:.1f}) "
            f"| {ratio[0]:.1f} ({ratio[1]:.1f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
