"""Peak memory of reading 10 000 random patches from a 60 000 × 60 000 px tiled pyramidal TIFF that is generated first.

    python benchmarks/slide_memory.py [--side 60000] [--patches 10000]

The image is read in a process of its own, whose baseline is what importing the slide reader takes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

TILE = 512
READ = """
import sys, time
import numpy as np
import PIL.Image, tifffile, imagecodecs
from pathlib import Path
from histosge._runtime.provenance import peak_memory_bytes
from histosge.images.slide import open_slide
path, side, number = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
baseline = peak_memory_bytes()
start = time.perf_counter()
slide = open_slide(path, mpp=0.25)
centres = np.random.default_rng(0).uniform(0, side * 0.25, (number, 2))
total = 0
for begin in range(0, number, 100):
    total += int(slide.read_many(centres[begin : begin + 100], 112.0, 224).sum())
seconds = time.perf_counter() - start
print(f"{number} patches of 224 px in {seconds:.0f} s ({number / seconds:.0f} per second), "
      f"{(peak_memory_bytes() - baseline) / 1e6:.0f} MB above {baseline / 1e6:.0f} MB; checksum {total}")
"""


def tiles(side: int) -> Iterator[np.ndarray]:
    """Yield the tiles of a square image; eight different ones, in turn."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(90, 250, (8, 64, 64, 3), dtype=np.uint8)
    few = np.repeat(np.repeat(blocks, 8, 1), 8, 2)
    for index in range((-(-side // TILE)) ** 2):
        yield few[index % len(few)]


def write(path: Path, side: int) -> None:
    """Write a pyramidal TIFF."""
    options = {"dtype": np.uint8, "tile": (TILE, TILE), "photometric": "rgb", "compression": "jpeg"}
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        levels = [side // 2**level for level in range(8) if side // 2**level >= TILE]
        tif.write(tiles(side), shape=(side, side, 3), subifds=len(levels) - 1, **options)
        for small in levels[1:]:
            tif.write(tiles(small), shape=(small, small, 3), subfiletype=1, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=60_000)
    parser.add_argument("--patches", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        start = time.perf_counter()
        write(path, arguments.side)
        print(
            f"{path.stat().st_size / 1e9:.2f} GB written in {time.perf_counter() - start:.0f} s", flush=True
        )
        command = [sys.executable, "-c", READ, str(path), str(arguments.side), str(arguments.patches)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
