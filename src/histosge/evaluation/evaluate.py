"""Evaluate models on sections, beside the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from histosge._runtime.seeds import refuse_seed
from histosge.errors import UsageError
from histosge.section.genes import Genes
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.recipe import Recipe

from .benchmark import benchmark, run_trials
from .plan import Plan, SectionSpec
from .result import EvaluationResult, collect

__all__ = ["evaluate", "seeds_of"]

# a slip of the keyboard, and more memory than there is
_MOST_SEEDS = 10_000


def evaluate(
    sections: Section | Path | str | SectionSpec | Sequence[Section | Path | str | SectionSpec],
    models: str | Recipe | Sequence[str | Recipe] = ("cokriging",),
    *,
    split: str | Sequence[str] = "random:0.5",
    seeds: int | Sequence[int] = 3,
    genes: Genes = "hvg:1000",
    encoder: str | Sequence[str] = "texture",
    out: Path | str | None = None,
    compute: Compute = Compute(),
    **settings: Any,
) -> EvaluationResult:
    """Score models at test spots, beside the baselines, with an audit of every fit.

    Parameters
    ----------
    sections
        One or more sections, or their folders.
    models
        ``"cokriging"``, ``"histosge:published"`` or a :class:`~histosge.workflow.recipe.Recipe`; several as a list or
        separated by commas.
    split
        How test spots are chosen: see :class:`~histosge.evaluation.plan.Plan`.
    seeds
        Number of seeds (0, 1, 2 …), or the seeds.
    genes
        As :func:`histosge.section.genes.select` takes them. The default is the paper's: 1000 variable genes, here
        chosen on training spots alone.
    encoder
        Encoder of the models that read image features; several as a list or separated by commas, joined ones as
        ``texture+uni``.
    out
        Folder for tables, figures and finished trials, see :func:`~histosge.evaluation.benchmark.benchmark`; ``None``
        writes nothing.
    compute
        Device, precision and progress.
    settings
        Further fields of :class:`~histosge.evaluation.plan.Plan`, such as ``programs``.

    Raises
    ------
    UsageError
        For unknown models, presets, splits or genes.
    DataError
        Where the audit finds a leak.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> result = evaluate(section, ["cokriging", "cokriging:positions"], seeds=1, genes="all")
    >>> kriging, = result.select(model="kriging", set="test")
    >>> kriging["skill"]
    0.0
    """
    plan = Plan(
        sections if _is_sequence(sections) else (sections,),  # type: ignore[arg-type]
        _listed(models),
        splits=tuple(str(word) for word in _listed(split)),
        seeds=seeds_of(seeds),
        encoders=tuple(str(word) for word in _listed(encoder)),
        genes=genes,
        **settings,
    )
    if out is not None:
        return benchmark(plan, out, compute=compute)
    # trials are written even so: the image features are shared through the folder
    with TemporaryDirectory() as folder:
        return collect(plan, list(plan.trials()), run_trials(plan, Path(folder), compute=compute))


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds: 0, 1, 2 … where a number of seeds is given.

    Raises
    ------
    UsageError
        For a number below 1 or above 10000, and for a seed out of range.

    Examples
    --------
    >>> seeds_of(3)
    (0, 1, 2)
    """
    if not isinstance(seeds, int):
        for seed in seeds:
            refuse_seed(seed)
        return tuple(seeds)
    if not 1 <= seeds <= _MOST_SEEDS:
        raise UsageError(f"`seeds` must be from 1 to {_MOST_SEEDS}, got {seeds}.")
    return tuple(range(seeds))


def _is_sequence(value: object) -> bool:
    # a section has a length and rows, but it is one section
    return isinstance(value, Sequence) and not isinstance(value, (str, Section))


def _listed(value: str | Recipe | Sequence[str | Recipe]) -> tuple[str | Recipe, ...]:
    """Return words separated by commas, or a list, as a tuple."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return (value,) if isinstance(value, Recipe) else tuple(value)
