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

ALL = ["crc16", "dlpfc/151673", "dlpfc/151674", "her2st/C2", "her2st/C4", "her2st/C5", "mob/MOB1", "mob/MOB2"]
ALL += ["mouse_brain_dg"]
STAGES = ("fit", "predict", "write")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("sections", nargs="*", default=ALL)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_intermixed_args()
    print(f"{platform.processor() or platform.compute()}, Python {platform.python_version()}")
    print(
        "| section | spots | places | genes | image's part | wall s | of which fit | predict | figures | peak GB |"
    )
    print("|---|" + "--:|" * 9)
    for name in arguments.sections:
        out = arguments.out / name.replace("/", "_")
        command = [sys.executable, "-m", "histosge", "run", str(arguments.data / name), "--upsample", "4"]
        start = time.perf_counter()
        answer = subprocess.run(
            [*command, "--out", str(out), "--json"], capture_output=True, text=True, check=False
        )
        wall = time.perf_counter() - start
        if answer.returncode:
            print(f"{name:15s} failed: {answer.stderr.strip()}")
            continue
        record = json.loads(answer.stdout)
        fit, predict, figures = (f"{record['stages'][stage]['wall_s']:.1f}" for stage in STAGES)
        cells = [name, record["section"]["spots"], record["locations"], len(record["genes"])]
        cells += [record["fit"]["image_weight"], f"{wall:.1f}", fit, predict, figures]
        cells += [f"{record['peak_memory_bytes'] / 1e9:.2f}"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
