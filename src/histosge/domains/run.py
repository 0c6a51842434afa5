"""Finding domains, once per seed, and comparing them with annotated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.seeds import refuse_seed
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError
from histosge.metrics.labels import adjusted_rand, mutual_information

from .base import Divides, Division, Method, Runtime
from .consensus import Consensus, consensus
from .input import DomainInput
from .neighbours import component_sizes, edges_within, neighbour_distance_um
from .number_of_domains import Criterion
from .predicted_confidence import confidence_by_spots
from .specks import LEAST_PATCH, NEIGHBOURS_WITHIN

__all__ = ["Agreement", "Domains", "find_domains"]

# radius of neighbours, in distances of neighbours, as the methods have it
_RADIUS = 1.1
# area of the smallest patch of predicted locations, in spots: what lies between two
_LEAST_SPOTS = 2
_NOT_STATED = (
    "The confidence of the domains is not stated: all predicted genes share the errors of the model, and there are no "
    "measured spots that could contradict them."
)
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
    domain
        Domain of each location by the consensus of the seeds; that of the only seed, where there is one.
    confidence
        Of each location: mean over seeds of the probability of its domain, or of their agreement where the method has
        no probabilities. Of predicted values see :mod:`histosge.domains.predicted_confidence`; NaN beyond the spots.
        ``None`` where it is not stated: for one seed of a method without probabilities, for predicted values of such a
        method, and without measured spots.
    criterion
        By which the number was chosen; ``None`` where it was set, or where the method has none.
    truth
        Annotated domain of each location, empty where there is none; ``None`` without annotation.
    messages
        About the number of domains and the neighbourhood graph.
    """

    input: DomainInput
    method: Method
    seeds: tuple[int, ...]
    labels: Int[np.ndarray, "s n"]
    domain: Int[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"] | None
    criterion: Criterion | None
    truth: tuple[str, ...] | None
    messages: tuple[Message, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Number of domains of each seed."""
        return tuple(len(np.unique(labels)) for labels in self.labels)

    @property
    def number(self) -> int:
        """Number of domains of the consensus."""
        return len(np.unique(self.domain))

    @property
    def consensus_agreement(self) -> Agreement | None:
        """Agreement of the consensus with the annotation."""
        if self.truth is None:
            return None
        truth, domain = list(self.truth), [str(label) for label in self.domain]
        return Agreement((adjusted_rand(truth, domain),), (mutual_information(truth, domain),))

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
    messages: list[Message] = []
    if method.card.uses_position and not method.card.across_gaps:
        messages += _unconnected(input_)
    clusters = _annotated_number(clusters, truth, messages)
    measured = _measured(input_, method, clusters, seeds[0])
    criterion = measured.criterion if measured is not None else None
    clusters = clusters if criterion is None else criterion.chosen
    divisions = _divisions(input_, method, clusters, criterion, seeds, runtime=runtime)
    criterion = criterion or divisions[0].criterion
    if criterion is not None:
        messages.append(_chosen(criterion, input_))
    agreed = _agreed(input_, method, divisions)
    messages += _fewer(clusters if criterion is None else criterion.chosen, len(np.unique(agreed.labels)))
    confidence = _confidence(input_, method, agreed, measured=measured, seeds=len(seeds))
    if confidence is None and input_.predicted and isinstance(method, Divides):
        messages.append(Message("info", _NOT_STATED))
    return Domains(
        input_,
        method,
        seeds=tuple(seeds),
        # a single seed is its own consensus
        labels=np.stack([divided.labels for divided in divisions]) if len(seeds) > 1 else agreed.labels[None],
        domain=agreed.labels,
        confidence=confidence,
        criterion=criterion,
        truth=None if truth is None else tuple(truth),
        messages=tuple(messages),
    )


def _divisions(
    input_: DomainInput,
    method: Method,
    clusters: int | None,
    criterion: Criterion | None,
    seeds: Sequence[int],
    *,
    runtime: Runtime,
) -> list[Division]:
    """Return the division of each seed."""
    if criterion is not None and criterion.chosen == 1:
        # the measured spots say that there is nothing to divide
        return [Division(np.zeros(len(input_), dtype=np.intp), np.ones((len(input_), 1)), criterion)] * len(
            seeds
        )
    # every method scales its graph by the same distance
    own = method
    if input_.spots is not None and isinstance(method, Divides):
        own = method.like(len(input_.spots))
    pitch_um = neighbour_distance_um(input_.xy_um) if len(input_) > 1 else 1.0
    divisions: list[Division] = []
    for seed in seeds:
        divided = _division(input_, own, clusters, pitch_um=pitch_um, seed=seed, runtime=runtime)
        if divided.criterion is not None and divided.criterion.chosen == 1:
            # as above: what the first seed finds indivisible, further ones would divide by noise
            return [divided] * len(seeds)
        # further seeds are other halves of the genes at the number that the first one chose
        if divided.criterion is not None:
            clusters = divided.criterion.chosen
        divisions.append(divided)
    return divisions


def _annotated_number(
    clusters: int | None, truth: Sequence[str] | None, messages: list[Message]
) -> int | None:
    """Return the number of domains where it is set, or that of the annotation."""
    if clusters is not None or truth is None:
        return clusters
    # locations without annotation are no domain
    number = len(set(truth) - {""})
    messages.append(Message("info", f"{number} domains, as many as are annotated."))
    return number


def _measured(input_: DomainInput, method: Method, clusters: int | None, seed: int) -> Division | None:
    """Return the division of what was measured at the spots of a prediction; ``None`` where that is not possible."""
    spots = input_.spots
    if spots is None or not isinstance(method, Divides):
        return None
    if clusters is not None and len(spots) < clusters:
        return None
    # predicted genes share their errors: only measured ones can contradict each other
    return method.divide(
        spots.values, spots.xy_um, pitch_um=neighbour_distance_um(spots.xy_um), clusters=clusters, seed=seed
    )


def _division(
    input_: DomainInput,
    method: Method,
    clusters: int | None,
    *,
    pitch_um: float,
    seed: int,
    runtime: Runtime,
) -> Division:
    find = method.divide if isinstance(method, Divides) else method.assign
    result: Division | Array = find(
        input_.values, input_.xy_um, pitch_um=pitch_um, clusters=clusters, seed=seed, runtime=runtime
    )
    return (
        result if isinstance(result, Division) else Division(result, np.eye(result.max() + 1)[result], None)
    )


def _agreed(input_: DomainInput, method: Method, divisions: Sequence[Division]) -> Consensus:
    """Return the consensus of the seeds, without specks where the method is to divide the tissue into regions."""
    # ties between patches and domains are decided by positions, whatever the order of the rows
    order = np.lexsort((input_.values.sum(axis=1), input_.xy_um[:, 1], input_.xy_um[:, 0]))
    agreed = _agreed_in_order(input_, method, [divided.probability[order] for divided in divisions], order)
    back = np.argsort(order)
    return Consensus(agreed.labels[back], agreed.probability[back])


def _agreed_in_order(input_: DomainInput, method: Method, parts: Sequence[Array], order: Array) -> Consensus:
    """Return the consensus of probabilities whose rows are in the order ``order``."""
    if not method.card.uses_position or (len(parts) == 1 and not isinstance(method, Divides)):
        # one division of a published method is left as it is
        return consensus(parts)
    pitch_um = neighbour_distance_um(input_.xy_um) if len(input_) > 1 else 1.0
    least = LEAST_PATCH
    if input_.spots is not None and len(input_.spots) > 1:
        a_spot = (neighbour_distance_um(input_.spots.xy_um) / pitch_um) ** 2
        least = max(least, round(_LEAST_SPOTS * a_spot))
    return consensus(parts, edges_within(input_.xy_um[order], NEIGHBOURS_WITHIN * pitch_um), least=least)


def _confidence(
    input_: DomainInput, method: Method, agreed: Consensus, *, measured: Division | None, seeds: int
) -> Float[np.ndarray, " n"] | None:
    """Return how sure each location's domain is; ``None`` where nothing says it."""
    if not input_.predicted:
        return agreed.confidence if isinstance(method, Divides) or seeds > 1 else None
    if input_.spots is None or measured is None:
        return None
    confidence = confidence_by_spots(agreed, input_.xy_um, measured=measured, spots_um=input_.spots.xy_um)
    return confidence if np.isfinite(confidence).any() else None


def _fewer(number: int | None, left: int) -> list[Message]:
    """Say where fewer domains are left than were set or chosen."""
    if number is None or left >= number:
        return []
    return [
        Message(
            "warning",
            f"{left} domains in place of {number}: the others would have no location, or patches of a few only.",
        )
    ]


def _chosen(criterion: Criterion, input_: DomainInput) -> Message:
    """Say how many domains were chosen and why."""
    where = "" if input_.spots is None else f" at the {len(input_.spots)} measured spots"
    if criterion.chosen == 1:
        return Message(
            "warning",
            f"One domain: halves of the genes agree on no division of this tissue{where}. Set `clusters` to divide it "
            "all the same.",
        )
    index = criterion.numbers.index(criterion.chosen)
    balance, error = criterion.balance[index], criterion.standard_error[index]
    best = criterion.numbers[int(np.argmax(criterion.balance))]
    return Message(
        "info",
        f"{criterion.chosen} domains, chosen among 1 to {criterion.numbers[-1]}: of where a location belongs, halves "
        f"of the genes share {balance:.2f} ± {error:.2f} bits more than they do not{where}; most with {best} domains, "
        f"{max(criterion.balance):.2f} bits.",
    )


def _unconnected(input_: DomainInput) -> list[Message]:
    """Warn where the neighbourhood graph has several parts: only expression relates them to each other."""
    # graph methods smooth within a component and not across components
    pitch_um = neighbour_distance_um(input_.xy_um) if len(input_) > 1 else 1.0
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
