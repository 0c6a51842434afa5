"""Time and memory of reading cells, as GeoJSON and as a label image.

    python benchmarks/read_cells.py --cells 200000 --layout geojson

The cells are drawn: octagons about 24 px wide on a square lattice of 30 px, each with a nucleus, a class and twenty
measurements, as QuPath writes them; as a label image the same squares of pixels. Reading is timed in a process of its
own, whose largest resident memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MPP, PITCH_PX = 0.5, 30
READ = r"""
import re, sys, time
from pathlib import Path
from histosge.segmentation.sources import CellOptions, read_cells
import pandas, pyarrow, shapely

def largest_mib():
    # resident, of this process; Linux alone
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 2**10

before = largest_mib()
start = time.perf_counter()
cells = read_cells(Path(sys.argv[1]), CellOptions(0.5))
seconds = time.perf_counter() - start
print(f"{len(cells)} cells: {seconds:.1f} s, {largest_mib():.0f} MiB at most, {before:.0f} MiB before reading")
"""


def write_geojson(path: Path, number: int) -> None:
    """Write cells as QuPath does, one by one."""
    side = int(np.ceil(number**0.5))
    angle = np.linspace(0, 2 * np.pi, 21)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    measurements = {f"Nucleus: measurement {k} mean": round(k * 1.2345, 4) for k in range(20)}
    with path.open("w", encoding="utf-8") as stream:
        stream.write('{"type": "FeatureCollection", "features": [\n')
        for k in range(number):
            centre = np.array([k % side + 0.5, k // side + 0.5]) * PITCH_PX
            cell, nucleus = ((centre + radius * circle).round(2).tolist() for radius in (12, 6))
            feature = {
                "type": "Feature",
                "id": f"00000000-0000-4000-8000-{k:012x}",
                "geometry": {"type": "Polygon", "coordinates": [cell]},
                "nucleusGeometry": {"type": "Polygon", "coordinates": [nucleus]},
                "properties": {
                    "objectType": "cell",
                    "classification": {"name": "Tumor" if k % 3 else "Stroma", "color": [200, 0, 0]},
                    "measurements": measurements,
                },
            }
            stream.write((",\n" if k else "") + json.dumps(feature))
        stream.write("\n]}\n")


def write_labels(path: Path, number: int) -> None:
    """Write a tiled, compressed label image."""
    import tifffile

    side = int(np.ceil(number**0.5))
    labels = np.zeros((side * PITCH_PX, side * PITCH_PX), dtype=np.uint32)
    for k in range(number):
        top, left = k // side * PITCH_PX, k % side * PITCH_PX
        labels[top + 3 : top + 27, left + 3 : left + 27] = k + 1
    tifffile.imwrite(path, labels, tile=(512, 512), compression="zlib", bigtiff=True)


def main() -> None:
    """Write, read, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--layout", choices=("geojson", "label_image"), default="geojson")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("cells.geojson" if options.layout == "geojson" else "labels.tif")
        (write_geojson if options.layout == "geojson" else write_labels)(path, options.cells)
        print(f"{path.name}: {path.stat().st_size / 2**20:.0f} MiB")
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", READ, str(path)], check=True)


if __name__ == "__main__":
    main()
