"""The BibTeX of what was used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files

from histosge.encoders import ENCODERS
from histosge.encoders.joined import names_of
from histosge.errors import UsageError
from histosge.models import MODELS

__all__ = ["citation"]


def citation(names: Iterable[str] = ()) -> str:
    """Return the BibTeX entries of the paper behind this package, and of the encoders and models used.

    Parameters
    ----------
    names
        Of encoders, joined ones too, and models. Those of other packages bring their own BibTeX.

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
    own = _entries()
    cited = ["shi2024histosge", *(_citation(part) for name in names for part in names_of(name))]
    entries = (_entry(text, own) for text in cited if text)
    return "\n\n".join(dict.fromkeys(entries)) + "\n"


def _citation(name: str) -> str:
    """Return what a card says of whom to cite."""
    if name in ENCODERS:
        return str(ENCODERS[name].card.citation).strip()
    if name in MODELS:
        return str(MODELS[name].card.citation).strip()
    raise UsageError(
        f"There is no encoder or model named '{name}'. See `histosge list encoders` and `list models`."
    )


def _entry(text: str, own: dict[str, str]) -> str:
    """Return BibTeX for a key of this package's bibliography, for BibTeX itself, or for any other words."""
    if text in own:
        return own[text]
    # a plug-in's own words, which BibTeX prints as they are
    return text if text.startswith("@") else f"@misc{{{_key(text)},\n  note = {{{text}}},\n}}"


def _key(text: str) -> str:
    return re.sub(r"\W+", "", text)[:30] or "plugin"


def _entries() -> dict[str, str]:
    text = (files("histosge.workflow") / "references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"@\w+\{([^,]+),.*?\n\}", text, flags=re.DOTALL)
    blocks = re.findall(r"@\w+\{[^,]+,.*?\n\}", text, flags=re.DOTALL)
    return dict(zip(entries, blocks, strict=True))
