"""Seconds that ``import histosge`` takes in a fresh process, best of ten, and whether it loads PyTorch.

python benchmarks/import_time.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys

CODE = """
import sys, time
start = time.perf_counter()
import histosge
print(time.perf_counter() - start, "torch" in sys.modules)
"""


def measure() -> tuple[float, str]:
    """Return seconds and whether PyTorch was loaded, from a fresh process."""
    process = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    seconds, torch_loaded = process.stdout.split()
    return float(seconds), torch_loaded


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    runs = [measure() for _ in range(10)]
    print(f"import histosge: {min(seconds for seconds, _ in runs):.2f} s; torch loaded: {runs[0][1]}")


if __name__ == "__main__":
    main()
