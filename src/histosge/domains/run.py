"""Finding domains, once per seed, and comparing them with annotated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.seeds import refuse_seed
from histosge._runtime.types import Int
from histosge.errors import UsageError
from histosge.metrics.labels import adjusted_rand, mutual_information

from .base import Method, Runtime
from .input import DomainInput
from .neighbours import component_sizes, edges_within, neighbour_distance_um

__all__ = ["Agreement", "Domains", "find_domains"]

# radius of neighbours, in distances of neighbours, as the methods have it
_RADIUS = 1.1
# share of the locations that may lie outside the largest connected component without a warning
_OUTSIDE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of domains with annotated ones, one value per seed.

    Parameters
    ----------
    ari
        Adjusted Rand index (Hubert & Arabie 1985): 1 for the same domains, 0 on average for random ones.
    nmi
        Normalised mutual information, from 0 to 1.
    """

    ari: tuple[float, ...]
    nmi: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Domains:
    """Domains of one input, found once per seed.

    Parameters
    ----------
    input, method
        In what and how they were found.
    seeds
        One per row of ``labels``.
    labels
        Domain of each location, seeds × locations; 0 is the largest.
    truth
        Annotated domain of each location, empty where there is none; ``None`` without annotation.
    messages
        About the number of domains and the neighbourhood graph.
    """

    input: DomainInput
    method: Method
    seeds: tuple[int, ...]
    labels: Int[np.ndarray, "s n"]
    truth: tuple[str, ...] | None
    messages: tuple[Message, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Number of domains of each seed."""
        return tuple(len(np.unique(labels)) for labels in self.labels)

    @property
    def agreement(self) -> Agreement | None:
        """Agreement with the annotation, at annotated locations; ``None`` without annotation."""
        if self.truth is None:
            return None
        truth = list(self.truth)
        return Agreement(
            tuple(adjusted_rand(truth, list(labels)) for labels in self.labels),
            tuple(mutual_information(truth, list(labels)) for labels in self.labels),
        )


def find_domains(
    input_: DomainInput,
    method: Method,
    *,
    clusters: int | None = None,
    seeds: Sequence[int] = (0,),
    truth: Sequence[str] | None = None,
    runtime: Runtime = Runtime(),
) -> Domains:
    """Find domains once per seed, at all locations, annotated or not.

    Parameters
    ----------
    input_
        Expression at locations.
    method
        See :func:`histosge.domains.build_method`.
    clusters
        Number of domains; ``None`` takes that of ``truth``, or what the method finds.
    seeds
        Of the method.
    truth
        Annotated domains; methods receive their number and nothing else.
    runtime
        Device and progress.

    Raises
    ------
    UsageError, DataError
        Without a seed, and as :meth:`histosge.domains.Method.assign` does.

    Examples
    --------
    >>> import histosge as hs
    >>> from histosge.domains import DomainInput, build_method, find_domains
    >>> section = hs.synthetic(columns=10, rows=10, genes=30).section
    >>> data = DomainInput.measured(section, genes="all")
    >>> find_domains(data, build_method("kmeans"), clusters=3).numbers
    (3,)
    """
    if not seeds:
        raise UsageError("Expected at least one of `seeds`, got none.")
    for seed in seeds:
        refuse_seed(seed)
    messages = []
    if clusters is None and truth is not None:
        # locations without annotation are no domain
        clusters = len(set(truth) - {""})
        messages.append(Message("info", f"{clusters} domains, as many as are annotated."))
    # measured once: every method scales its graph by the same distance
    pitch_um = neighbour_distance_um(input_.xy_um) if len(input_) > 1 else 1.0
    if method.card.uses_position:
        messages += _unconnected(input_, pitch_um)
    labels = [
        method.assign(
            input_.values, input_.xy_um, pitch_um=pitch_um, clusters=clusters, seed=seed, runtime=runtime
        )
        for seed in seeds
    ]
    annotated = None if truth is None else tuple(truth)
    return Domains(
        input_,
        method,
        seeds=tuple(seeds),
        labels=np.stack(labels),
        truth=annotated,
        messages=tuple(messages),
    )


def _unconnected(input_: DomainInput, pitch_um: float) -> list[Message]:
    """Warn where the neighbourhood graph has several parts: only expression relates them to each other."""
    # graph methods smooth within a component and not across components
    sizes = component_sizes(edges_within(input_.xy_um, _RADIUS * pitch_um), len(input_))
    if sizes[0] >= (1 - _OUTSIDE_SHARE) * len(input_):
        return []
    return [
        Message(
            "warning",
            f"The locations fall into {len(sizes)} groups that are not neighbours of each other (the largest has "
            f"{sizes[0]} of {len(input_)}). Across groups, domains depend on expression alone.",
        )
    ]
