"""The BibTeX of what was used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files

from histosge.encoders import ENCODERS
from histosge.errors import UsageError
from histosge.models import MODELS

__all__ = ["citation"]


def citation(names: Iterable[str] = ()) -> str:
    """Return the BibTeX entries of the paper behind this package, and of the encoders and models used.

    Parameters
    ----------
    names
        Of encoders and models.

    Raises
    ------
    UsageError
        For a name that is neither an encoder nor a model.

    Examples
    --------
    >>> import histosge as hs
    >>> hs.citation(["cokriging"]).count("@") >= 2
    True
    """
    keys = ["shi2024histosge", *(_key(name) for name in names)]
    entries = _entries()
    return "\n\n".join(entries[key] for key in dict.fromkeys(keys) if key) + "\n"


def _key(name: str) -> str:
    if name in ENCODERS:
        return str(ENCODERS[name].card.citation)
    if name in MODELS:
        return str(MODELS[name].card.citation)
    raise UsageError(
        f"There is no encoder or model named '{name}'. See `histosge list encoders` and `list models`."
    )


def _entries() -> dict[str, str]:
    text = (files("histosge") / "references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"@\w+\{([^,]+),.*?\n\}", text, flags=re.DOTALL)
    blocks = re.findall(r"@\w+\{[^,]+,.*?\n\}", text, flags=re.DOTALL)
    return dict(zip(entries, blocks, strict=True))
