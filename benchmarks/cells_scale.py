"""Half a million cells × a whole transcriptome as factors: time to predict and to write, and memory, features ready.

python benchmarks/cells_scale.py FOLDER [--cells 500000] [--genes 18000] [--columns 64] [--rows 72]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import shapely

import histosge as hs
from histosge.datasets.synthetic import write_spaceranger
from histosge.io.writers import factors
from histosge.workflow.encode import encode, encoder_for

_CORNERS = 24
# the features are not part of the measurement: the fastest
_ENCODER = "texture@dense"


def main() -> None:
    """Generate a section and encode its cells in one process, predict and write in another, and print the costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=500_000)
    parser.add_argument("--genes", type=int, default=18_000)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--rows", type=int, default=72)
    parser.add_argument("--step", choices=["prepare", "run"], help="one process of the two; both by default")
    options = parser.parse_args()
    if options.step is None:
        for step in ("prepare", "run"):
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--step", step], check=True)
    elif options.step == "prepare":
        prepare(options)
    else:
        timed(options)


def prepare(options: argparse.Namespace) -> None:
    """Write the section, and the image features of all cells into a store."""
    tissue = hs.synthetic(columns=options.columns, rows=options.rows, genes=options.genes)
    write_spaceranger(tissue.section, options.folder / "section")
    section, recipe = hs.read(options.folder / "section"), hs.Recipe(encoder=_ENCODER)
    compute = hs.Compute(store=options.folder / "features")
    encoder = encoder_for(section, recipe, needs=recipe.build().needs, compute=compute)
    locations = hs.at_cells(section, cells_of(section, options.cells))
    start = time.perf_counter()
    encode(section, locations, needs=recipe.build().needs, encoder=encoder, compute=compute)
    print(f"features of {len(locations)} cells: {time.perf_counter() - start:.0f} s", flush=True)


def timed(options: argparse.Namespace) -> None:
    """Run, and print what each stage took and the largest memory of the process."""
    section = hs.read(options.folder / "section")
    cells = cells_of(section, options.cells)
    result = hs.run(
        section,
        hs.Recipe(encoder=_ENCODER),
        out=options.folder / "run",
        target=hs.Target(cells=cells),
        compute=hs.Compute(store=options.folder / "features"),
    )
    record = json.loads((options.folder / "run" / "run.json").read_text())
    size = {name: (result.out / name).stat().st_size / 1e6 for name in ("factors.h5ad", "prediction.h5ad")}
    genes = len(factors.read(result.factors).genes)
    print(
        f"{len(section)} spots, {len(cells)} cells, {genes} genes as factors, {len(result.genes)} as a matrix"
    )
    for name, cost in record["stages"].items():
        print(f"  {name}: {cost['wall_s']:.0f} s, of processors {cost['cpu_s']:.0f} s")
    print(f"  peak memory {record['peak_memory_bytes'] / 1e9:.1f} GB; MB of files: {size}")


def cells_of(section: hs.Section, number: int) -> hs.Cells:
    """Return cells of 24 corners, 8 to 14 µm wide, each with a nucleus and one of three classes."""
    rng = np.random.default_rng(0)
    spot = rng.integers(len(section), size=number)
    xy_um = section.spots.xy[spot] + rng.uniform(-45, 45, (number, 2))
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    radius = rng.uniform(4, 7, (number, 1)) * rng.uniform(0.9, 1.1, (number, _CORNERS))
    rings = xy_um[:, None] + radius[..., None] * circle
    return hs.Cells(
        np.char.add("cell_", np.arange(number).astype(str)),
        xy_um,
        shapely.polygons(rings),
        nuclei=shapely.polygons(xy_um[:, None] + 0.5 * (rings - xy_um[:, None])),
        classes=np.array(["tumour", "stroma", "immune cell"])[rng.integers(3, size=number)],
        source="generated",
    )


if __name__ == "__main__":
    main()
