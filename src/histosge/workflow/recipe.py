"""Everything that decides a result, and nothing that does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from histosge._runtime.hashing import fingerprint
from histosge._runtime.seeds import refuse_seed
from histosge.encoders.joined import names_of
from histosge.errors import UsageError
from histosge.models import build_model
from histosge.models.base import Model
from histosge.section.genes import GeneChoice, Genes

__all__ = ["Recipe"]

# no capture area of a platform is wider
_WIDEST_UM = 11_000.0


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
        Name in :data:`histosge.encoders.ENCODERS`, or several joined by ``+``. The default, ``texture``, needs no
        weights and no permission.
    patch_um
        Width of the image patches, µm; ``None`` takes the model's patch width, else the encoder's own. Of joined
        encoders, widths by the name of the encoder: ``{"uni": 80.0}``.
    genes
        ``hvg:1000`` (the 1000 most variable on the spots fitted), ``all``, names as a list or separated by commas, or a
        file of names; kept as text.
    seed
        Seeds the fit; from 0 to 2^63-1.
    depth_adjusted
        Whether the model is fitted to expression at the mean log depth of each section: log1p(CP10k) less a straight
        line in log depth for each gene. Maps then show expression at the section's mean depth, r given depth is nearly
        r, and r with what was measured falls (:doc:`/results/depth`), hence not the default.

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
    patch_um: float | Mapping[str, float] | None = None
    genes: Genes = "hvg:1000"
    seed: int = 0
    depth_adjusted: bool = field(default=False, metadata={"added_later": True})

    def __post_init__(self) -> None:
        refuse_seed(self.seed)
        if not isinstance(self.depth_adjusted, bool):
            raise UsageError(f"Expected `depth_adjusted` as True or False, got {self.depth_adjusted!r}.")
        _refuse_widths(self.patch_um, self.encoder)
        # text identifies a choice in hashes and in JSON; a list of names and the same names with commas are equal
        object.__setattr__(self, "genes", GeneChoice.text(self.genes))

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
    def genes_text(self) -> str:
        """The choice of genes, as text."""
        return GeneChoice.text(self.genes)

    @property
    def variant(self) -> str:
        """The preset and the options that differ from it, as text; empty for the model's defaults."""
        changed = [f"{name}={_as_text(value)}" for name, value in sorted(self.options.items())]
        adjusted = ["depth-adjusted"] if self.depth_adjusted else []
        return ", ".join([*([self.preset] if self.preset else []), *changed, *adjusted])

    @property
    def fingerprint(self) -> str:
        """A hash of the recipe."""
        return fingerprint(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Recipe:
        """Return the recipe that :meth:`as_dict` described.

        Raises
        ------
        ValueError
            For other fields than those of a recipe.
        """
        if unknown := set(content) - {item.name for item in fields(cls)}:
            raise ValueError(f"a recipe has no field '{min(unknown)}'")
        return cls(**content)


def _refuse_widths(patch_um: float | Mapping[str, float] | None, encoder: str) -> None:
    """Refuse widths that no patch has, and widths of encoders that the recipe does not name."""
    named = patch_um if isinstance(patch_um, Mapping) else {encoder: patch_um}
    names = (encoder, *names_of(encoder))
    for name, width_um in named.items():
        if name not in names:
            raise UsageError(f"`patch_um` names '{name}', but the `encoder` is '{encoder}'.")
        if width_um is not None and not 0 < width_um <= _WIDEST_UM:
            raise UsageError(
                f"`patch_um` must be above 0 and at most {_WIDEST_UM:g} µm, the width of a section; "
                f"got {width_um:g}."
            )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
