"""Seconds that ``import histosge`` takes in a fresh process, best of ten, and what it loads.

python benchmarks/import_time.py
"""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys, time
start = time.perf_counter()
import histosge
print(time.perf_counter() - start, "torch" in sys.modules)
"""


def main() -> None:
    answers = [
        subprocess.run(
            [sys.executable, "-c", CODE], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(10)
    ]
    print(
        f"import histosge: {min(float(answer[0]) for answer in answers):.2f} s; torch loaded: {answers[0][1]}"
    )


if __name__ == "__main__":
    main()
