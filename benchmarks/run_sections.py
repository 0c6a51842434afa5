"""The main job on real sections: wall time, peak memory, sizes.

python benchmarks/run_sections.py ../shared/data --out runs crc16 her2st/C2 …
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

SECTIONS = ["crc16", "dlpfc/151673", "dlpfc/151674", "her2st/C2", "her2st/C4", "her2st/C5", "mob/MOB1"]
SECTIONS += ["mob/MOB2", "mouse_brain_dg"]
STAGES = ("fit", "predict", "write")
COLUMNS = ("section", "spots", "locations", "genes", "image weight", "wall s", *STAGES, "peak GB")


def row(path: Path, name: str, out: Path) -> str:
    """Run the job on a section and return its cells."""
    command = [sys.executable, "-m", "histosge", "run", str(path), "--upsample", "4"]
    command += ["--out", str(out), "--json"]
    start = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if process.returncode:
        return f"{name} | failed: {process.stderr.strip()}"
    record = json.loads(process.stdout)
    stages = [f"{record['stages'][stage]['wall_s']:.1f}" for stage in STAGES]
    sizes = [record["section"]["spots"], record["locations"], len(record["genes"])]
    cells = [name, *sizes, record["fit"]["image_weight"], f"{seconds:.1f}", *stages]
    return " | ".join(map(str, [*cells, f"{record['peak_memory_bytes'] / 1e9:.2f}"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("sections", nargs="*", default=SECTIONS)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_intermixed_args()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---|" + "--:|" * (len(COLUMNS) - 1))
    for name in arguments.sections:
        cells = row(arguments.data / name, name, arguments.out / name.replace("/", "_"))
        print(f"| {cells} |", flush=True)


if __name__ == "__main__":
    main()
