"""The page *How to add your method* runs as it stands, and ends with the method's rows in the table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import histosge

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-method.md"
MAIN = "from histosge.cli import main\nmain()"


# three sections, two seeds, eleven models
@pytest.mark.slow
def test_the_page_runs_and_ends_with_rows_in_the_table(tmp_path: Path) -> None:
    """Every file of the page is written, its test passes, its commands run, and both rows have all figures."""
    text = PAGE.read_text(encoding="utf-8")
    for name, content in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(content)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    # what `pip install -e .` leaves
    metadata = tmp_path / "bilateral-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1\n")
    points = project["entry-points"]["histosge.models"]
    lines = ["[histosge.models]", *(f"{name} = {value}" for name, value in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    commands = re.search(r"^```bash\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert commands
    run(tmp_path, ["-c", "import test_bilateral as test; test.test_the_contract()"])
    for line in commands[1].splitlines():
        program, *words = line.split()
        run(tmp_path, words if program == "python" else ["-c", MAIN, *words])
    table = pd.read_parquet(tmp_path / "benchmark" / "summary.parquet")
    mine = table[table["system"].str.startswith("bilateral") & (table["level"] == "sections")]
    assert set(mine["system"]) == set(re.findall(r"^\| (bilateral[^|]*?) \|", text, flags=re.MULTILINE))
    assert (mine["sections"] == 3).all()
    assert (
        mine[["r", "difference", "difference_error", "given_depth", "skill", "cpu_s"]].notna().all(axis=None)
    )
    page = (tmp_path / "benchmark" / "summary.html").read_text()
    assert "bilateral (width_image=1000.0)" in page


def run(folder: Path, words: list[str]) -> None:
    source = Path(histosge.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(source)])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
