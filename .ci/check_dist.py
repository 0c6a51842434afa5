"""Check what is in the wheel and in the sdist of a folder.

python .ci/check_dist.py dist
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

# data files that the package reads at run time; a build that loses one still imports
DATA = ("histosge/py.typed", "histosge/workflow/references.bib", "template.html", "openseadragon.min.js")
SDIST = ("tests/", "docs/", "benchmarks/", "README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "PKG-INFO")


def main(folder: Path) -> int:
    """Print every fault of the two files in ``folder`` and return the exit code."""
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        print(f"expected one wheel and one sdist in {folder}, got {len(wheels)} and {len(sdists)}")
        return 1
    with zipfile.ZipFile(wheels[0]) as archive:
        wheel = archive.namelist()
    with tarfile.open(sdists[0]) as archive:
        sdist = [name.partition("/")[2] for name in archive.getnames()]
    faults = [*faults_of_wheel(wheel, sdist), *faults_of_sdist(sdist)]
    print("\n".join(faults) or f"{wheels[0].name} and {sdists[0].name} are complete")
    return 1 if faults else 0


def faults_of_wheel(wheel: list[str], sdist: list[str]) -> list[str]:
    """Return what the wheel lacks of the package's files, and what in it is no part of the package."""
    source = {
        name.removeprefix("src/") for name in sdist if name.startswith("src/histosge/") and _is_file(name)
    }
    package = {name for name in wheel if name.startswith("histosge/")}
    lost = [name for name in DATA if not any(path.endswith(name) for path in package)]
    foreign = [
        name
        for name in wheel
        if not name.startswith(("histosge/", "histosge-")) or PurePosixPath(name).name.startswith("test_")
    ]
    return [
        *(f"wheel: no {name}" for name in sorted({*lost, *(source - package)})),
        *(f"wheel: {name} is no part of the package" for name in foreign),
    ]


def faults_of_sdist(sdist: list[str]) -> list[str]:
    """Return what the sdist lacks of all that is needed to build and to test."""
    return [f"sdist: no {item}" for item in SDIST if not any(name.startswith(item) for name in sdist)]


def _is_file(name: str) -> bool:
    return bool(PurePosixPath(name).suffix)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
