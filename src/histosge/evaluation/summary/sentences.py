"""Sentences on benchmarks: what each was, what it left out, and what it did not record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .read_folder import BenchmarkFolder, FineTruthFolder

__all__ = ["sentences_of", "versions_of"]


def sentences_of(folder: BenchmarkFolder | FineTruthFolder) -> list[str]:
    """Return what a folder says of itself, what it left out, and what it did not record."""
    record, name = folder.record, folder.name
    sentences = [
        f"{name}: {' '.join(part for part in (record.get('description', ''), _where(folder)) if part)}"
    ]
    sentences += [f"{name}: declared leak: {leak}" for leak in record.get("declared_leaks", ())]
    if isinstance(folder, FineTruthFolder):
        return sentences + [
            f"{name}: {model} was left out. {why}" for model, why in record["skipped"].items()
        ]
    sentences += _skipped(folder)
    return [*sentences, *([folder.message] if folder.message else [])]


def _where(folder: BenchmarkFolder | FineTruthFolder) -> str:
    """Return the machine and the versions that measured."""
    known: Mapping[str, Any] = folder.environment
    if not known:
        return "Its machine is not recorded."
    processor, cores = known.get("processor") or known.get("machine", ""), known.get("cores")
    computer = f"{processor}, {cores} cores" if cores else f"{processor} (its processor is not recorded)"
    return f"Written with {versions_of(known)} on {computer}{_devices(folder)}."


def versions_of(environment: Mapping[str, Any]) -> str:
    """Return the versions of histosge and PyTorch that measured; nothing where they are not recorded.

    Examples
    --------
    >>> versions_of({"packages": {"histosge": "0.2.0", "numpy": "2.4", "torch": "2.14"}})
    'histosge 0.2.0, torch 2.14'
    """
    packages = environment.get("packages", {})
    return ", ".join(f"{part} {packages[part]}" for part in ("histosge", "torch") if packages.get(part))


def _devices(folder: BenchmarkFolder | FineTruthFolder) -> str:
    """Return words for the devices, other than a CPU, that trained networks."""
    if isinstance(folder, FineTruthFolder):
        names = [fit.get("device", "") for fit in folder.costs]
    else:
        names = [] if folder.fits is None or "device" not in folder.fits else folder.fits["device"].tolist()
    devices = dict.fromkeys(name for name in names if name and not name.startswith("cpu"))
    return f"; networks were trained on {', '.join(devices)}" if devices else ""


def _skipped(folder: BenchmarkFolder) -> list[str]:
    """Return a sentence for each split and reason, with the models and sections that it is true of."""
    groups: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for part in folder.record.get("skipped", ()):
        reason = part["reason"].replace(f"'{part['model']}'", "the model")
        reason = reason.replace(f"'{part['section']}'", "the section")
        models, sections = groups.setdefault((part["split"], reason), ({}, {}))
        models[part["model"]] = sections[part["section"]] = None
    return [
        f"{folder.name}, {split}: {', '.join(models)} left out on {', '.join(sections)}: {reason}"
        for (split, reason), (models, sections) in groups.items()
    ]
