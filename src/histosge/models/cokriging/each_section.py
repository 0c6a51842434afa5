"""One fit of several sections, seen from each of them.

Everything that is estimated from many spots is shared. The posterior is each section's own: inducing points for all
sections at once would be a hundred a section for twenty of them, and resolve nothing finer than six pitches.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histosge._runtime.types import Array, Int

from .inducing_points import evenly, farthest_points
from .joined_transform import JoinedTransform
from .kernels import KernelInputs
from .ranges import pitch_of
from .setup import Choices

__all__ = ["as_first", "inducing_rows", "kriged_rows", "rows_of"]

# other sections' share of the spots to krige and of the inducing points, where these are limited: a section's own spots
# say most of it
_OTHERS = 0.2


def kriged_rows(sections: Int[np.ndarray, " n"], exact: int, *, alike: bool = False) -> Int[np.ndarray, " r"]:
    """Return the spots to krige the first section from: all, or of others as many as leave it exact.

    Where no section is to be predicted (``alike``), all give the same share of their spots.
    """
    if alike:
        return evenly(len(sections), exact) if len(sections) > exact else np.arange(len(sections))
    target, auxiliary = np.flatnonzero(sections == 0), np.flatnonzero(sections != 0)
    room = exact - len(target)
    if not len(target) or room <= 0 or len(auxiliary) <= room:
        return np.arange(len(sections))
    return np.concatenate([target, auxiliary[evenly(len(auxiliary), room)]])


def rows_of(sections: Int[np.ndarray, " n"], index: int, most: int) -> Int[np.ndarray, " r"]:
    """Return the spots to krige a section from: its own, then others, in all ``most`` where its own leave room.

    Others are a fifth of ``most`` at least, however many spots the section has.

    Examples
    --------
    >>> import numpy as np
    >>> rows_of(np.array([0, 0, 1, 1, 2]), 1, 4).tolist()
    [2, 3, 0, 4]
    """
    own, others = np.flatnonzero(sections == index), np.flatnonzero(sections != index)
    room = max(most - len(own), int(_OTHERS * most))
    return np.concatenate([own, others[evenly(len(others), room)]])


def inducing_rows(spots: KernelInputs, number: int) -> Int[np.ndarray, " m"]:
    """Return the spots that carry the process: all, or four in five of the first section, spread evenly, and others.

    Spots of other sections are few for their area. Chosen by distance alone they would all be among the inducing
    points, and leave too few to the first section.
    """
    if len(spots) <= number:
        return np.arange(len(spots))
    own, others = np.flatnonzero(spots.section_index == 0), np.flatnonzero(spots.section_index != 0)
    some = others[evenly(len(others), min(len(others), int(_OTHERS * number)))]
    chosen = farthest_points(spots.xy_um[own], min(len(own), number - len(some)))
    return np.concatenate([own[chosen], some])


def as_first(choices: Choices, index: int, rows: Int[np.ndarray, " r"], *, diameter_um: float) -> Choices:
    """Return what was chosen, as that of some spots of which those of section ``index`` come first.

    Parameters
    ----------
    choices
        Of all sections.
    index
        Section that becomes number 0.
    rows
        As :func:`rows_of` returns them.
    diameter_um
        Of its spots; 0 for points.
    """
    all_sections = choices.samples.inputs.section_index
    fitted = np.unique(all_sections)
    order = np.concatenate([[index], fitted[fitted != index]])
    number = np.empty(int(fitted[-1]) + 1, dtype=np.intp)
    number[order] = np.arange(len(order))
    samples, spots = choices.samples.take(rows), choices.spots.take(rows)
    sections = number[all_sections[rows]]
    own = spots.xy_um[sections == 0]
    pitch_um = pitch_of(own)
    means = choices.standardisation.means
    return replace(
        choices,
        samples=replace(samples, inputs=replace(samples.inputs, sections=sections)),
        standardisation=replace(choices.standardisation, means=means[[*order, -1]]),
        values=choices.values[rows],
        spots=replace(spots, section_index=sections, diameter_um=min(diameter_um, pitch_um)),
        feature_transform=_of_section(choices.feature_transform, index),
        pitch_um=pitch_um,
        # correlations over the spots of all sections are no statement about one
        summary={name: value for name, value in choices.summary.items() if name != "r_loo_factors"},
    )


def _of_section(transform: JoinedTransform | None, index: int) -> JoinedTransform | None:
    """Return the transform of one section's features: its staining, and its spots as neighbours."""
    if transform is None:
        return None
    parts = []
    for part in transform.parts:
        own = np.flatnonzero(part.spot_sections == index)
        parts.append(
            replace(
                part,
                means=_first_and_last(part.means, index),
                scales=_first_and_last(part.scales, index),
                spots_um=part.spots_um[own],
                spot_sections=np.zeros(len(own), dtype=np.intp),
                spot_components=part.spot_components[own],
            )
        )
    return JoinedTransform(tuple(parts))


def _first_and_last(rows: Array, index: int) -> Array:
    return rows[[index, -1]]
