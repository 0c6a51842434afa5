"""What is published agrees with pyproject.toml: the conda recipe, the citation, the changelog, the oldest versions."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import jinja2
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_recipe_lists_the_dependencies_of_the_project() -> None:
    """The conda recipe renders to a build of the base install with every dependency and its lower bound."""
    text = (ROOT / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    rendered = jinja2.Template(text).render(
        load_file_data=lambda path, from_recipe_dir: PROJECT, environ={"GIT_DESCRIBE_TAG": "v1.2.3"}
    )
    recipe = yaml.safe_load(rendered)
    run = recipe["requirements"]["run"]
    assert recipe["package"] == {"name": "histosge", "version": "1.2.3"}
    assert len(run) == 1 + len(PROJECT["project"]["dependencies"])
    assert "numpy >=1.26" in run
    assert "matplotlib-base >=3.10" in run


def test_the_citation_has_the_version_of_the_changelog() -> None:
    """CITATION.cff names the last version of CHANGELOG.md, and a build without Git a development version of it."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    last = re.search(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.MULTILINE).group(1)
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {last}\n" in citation
    assert PROJECT["tool"]["hatch"]["version"]["fallback-version"].startswith(last)


def test_every_run_time_dependency_has_an_oldest_version() -> None:
    """The constraints for the oldest dependencies cover every dependency of the base install."""
    bounds = runpy.run_path(str(ROOT / ".ci" / "oldest.py"))["lower_bounds"]()
    names = {re.match(r"[\w.-]+", line).group(0) for line in PROJECT["project"]["dependencies"]}
    assert names <= bounds.keys()


def test_every_reference_is_closed() -> None:
    """Braces balance in every entry of references.bib, and keys are unique."""
    text = (ROOT / "src" / "histosge" / "workflow" / "references.bib").read_text(encoding="utf-8")
    entries = re.split(r"(?m)^(?=@)", text)[1:]
    keys = [re.match(r"@\w+\{([^,]+),", entry).group(1) for entry in entries]
    assert len(set(keys)) == len(keys)
    assert [
        key for key, entry in zip(keys, entries, strict=True) if entry.count("{") != entry.count("}")
    ] == []
