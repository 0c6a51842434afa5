"""Print a constraints file: of each run-time dependency the oldest release series that pyproject.toml allows.

python .ci/oldest.py > oldest.txt
pip install '.[deep]' -c oldest.txt
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
# tools of developers, and SpatialData, whose releases need each other's newest versions
NEWEST = ("docs", "napari", "spatialdata", "test")
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?\s*>=\s*(?P<version>[\w.]+)")


def lower_bounds() -> dict[str, str]:
    """Return each dependency's lower bound, that of the extra `deep` included."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name not in NEWEST]
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    matches = [match for line in lines if (match := REQUIREMENT.match(line))]
    return {match["name"]: match["version"] for match in matches}


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}.*" for name, version in sorted(lower_bounds().items())))
