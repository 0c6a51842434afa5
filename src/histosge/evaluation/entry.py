"""A model as a row of a benchmark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histosge.models import build_model
from histosge.models.base import Model

__all__ = ["BASELINES", "REFERENCE", "Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Which model, in which configuration.

    Parameters
    ----------
    model
        Name in :data:`histosge.models.MODELS`.
    preset
        Named configuration; ``None`` takes the defaults.
    options
        Fields that differ from it.
    """

    model: str
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, word: str, options: Mapping[str, Any] | None = None) -> Entry:
        """Read ``model`` or ``model:preset``."""
        model, _, preset = word.partition(":")
        return cls(model.strip(), preset.strip() or None, dict(options or {}))

    def build(self) -> Model:
        """Return the configured model.

        Raises
        ------
        UsageError
            For unknown models, presets or options.
        """
        return build_model(self.model, self.preset, **self.options)

    @property
    def variant(self) -> str:
        """The preset and what differs from it, in words."""
        changed = [f"{name}={_plain(value)}" for name, value in sorted(self.options.items())]
        return ", ".join([*([self.preset] if self.preset else []), *changed])


# what skill is measured against: interpolation, without a look at the image
REFERENCE = Entry("kriging")

# always run, whatever else is asked for
BASELINES: tuple[Entry, ...] = (
    Entry("memorisation"),
    Entry("mean"),
    Entry("nearest"),
    Entry("idw", options={"neighbours": 6}),
    Entry("idw", options={"neighbours": 18}),
    Entry("idw", options={"neighbours": 40}),
    REFERENCE,
    Entry("ridge"),
)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
