"""Everything that decides a result, and nothing that does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.hashing import fingerprint
from histosge.errors import DataError, UsageError
from histosge.models import build_model
from histosge.models.base import Model

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Model, encoder, genes and seed of a fit. Device, folders and verbosity are not part of it.

    Parameters
    ----------
    model
        Name in :data:`histosge.models.MODELS`.
    preset
        Named configuration of the model; ``None`` takes the model's own defaults.
    options
        Single fields of the model's configuration that differ from the preset.
    encoder
        Name in :data:`histosge.encoders.ENCODERS`. The default, ``texture``, needs no weights and no permission.
    patch_um
        Width of the image patches, µm; ``None`` takes the model's patch width, else the encoder's own.
    genes
        ``hvg:1000`` (highly variable on the spots fitted), ``all``, or a file of names.
    seed
        Seeds the fit.

    Examples
    --------
    >>> import histosge as hs
    >>> hs.Recipe.parse("histosge:published", {"epochs": 20}).variant
    'published, epochs=20'
    """

    model: str = "cokriging"
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = "texture"
    patch_um: float | None = None
    genes: str = "hvg:1000"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.patch_um is not None and not self.patch_um > 0:
            raise UsageError(f"`patch_um` must be positive, got {self.patch_um}.")

    @classmethod
    def parse(cls, text: str, options: Mapping[str, Any] | None = None, **settings: Any) -> Recipe:
        """Read ``model`` or ``model:preset``; ``settings`` are further fields of the recipe."""
        model, _, preset = text.partition(":")
        return cls(model.strip(), preset.strip() or None, dict(options or {}), **settings)

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
        """The preset and the options that differ from it, as text; empty for the model's defaults."""
        changed = [f"{name}={_as_text(value)}" for name, value in sorted(self.options.items())]
        return ", ".join([*([self.preset] if self.preset else []), *changed])

    @property
    def fingerprint(self) -> str:
        """A hash of the recipe."""
        return fingerprint(self)

    def write(self, path: Path) -> None:
        """Write the recipe as JSON."""
        with atomic_path(path) as draft:
            draft.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read what :meth:`write` wrote.

        Raises
        ------
        UsageError
            When there is no such file.
        DataError
            When it is no recipe.
        """
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise UsageError(
                f"Expected a fit in '{path.parent}', found none. Run `histosge fit` first."
            ) from error
        except ValueError as error:
            raise DataError(
                f"Expected JSON in '{path}', got something else. Run `histosge fit` again."
            ) from error
        known = {item.name for item in fields(cls)}
        if not isinstance(content, dict) or not set(content) <= known:
            raise DataError(f"'{path}' is not a recipe of this version. Run `histosge fit` again.")
        return cls(**content)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
