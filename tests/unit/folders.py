"""A section that is written to folders, and read without remarks: what the tests of readers share."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import histosge
from histosge.datasets import synthetic
from histosge.section.section import Section

TRUTH = synthetic(columns=12, rows=12, genes=30).section


def read(path: Path, **options: Any) -> Section:
    """Read, and keep remarks to oneself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return histosge.read(path, **options)
