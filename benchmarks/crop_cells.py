"""Write a rectangle of a folder of cells (`cells.csv.gz`, `he.png`) as such a folder: a finer truth for slow systems.

python benchmarks/crop_cells.py ../shared/data/xenium_breast_rep1 runs/xenium_corner [--box-um 0,0,1500,1000]

Cells whose position is in the rectangle are kept as they are. The image is cut around them, so far that windows around
the outermost cells still show tissue, and pixels are counted from its new corner.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

# image kept beyond the outermost cells, in pixels of 10.7 µm: windows reach 280 µm from a location, and twice that
_BESIDE_PX = 60


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument(
        "--box-um", default="0,0,1500,1000", help="left, top, right and bottom, in µm of the cells"
    )
    options = parser.parse_args()
    left, top, right, bottom = (float(number) for number in options.box_um.split(","))
    cells = pd.read_csv(options.source / "cells.csv.gz")
    cells = cells[cells.x_um.between(left, right, "left") & cells.y_um.between(top, bottom, "left")].copy()
    if cells.empty:
        parser.error(f"no cell lies in {options.box_um}. Give a rectangle in µm that holds cells.")
    with Image.open(options.source / "he.png") as image:
        pixels = cells[["pixel_x", "pixel_y"]].to_numpy()
        low = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - _BESIDE_PX, 0)
        high = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + _BESIDE_PX, image.size)
        cut = image.crop((*low, *high))
    cells[["pixel_x", "pixel_y"]] = np.round(pixels - low, 2)
    options.target.mkdir(parents=True)
    cells.to_csv(options.target / "cells.csv.gz", index=False)
    cut.save(options.target / "he.png")
    print(f"{len(cells)} cells, image of {cut.size[0]} × {cut.size[1]} pixels: {options.target}")


if __name__ == "__main__":
    main()
