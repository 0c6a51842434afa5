"""A benchmark on paper: sections × splits × encoders × models × seeds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from histosge.errors import UsageError

from .deviations import Switch
from .entry import BASELINES, Entry

__all__ = ["WHOLE", "WITH_AUXILIARY", "Cell", "Plan", "SectionSpec"]

# behind the name of a split within a section: all other sections are fitted too
WITH_AUXILIARY = "+auxiliary"
# splits that remove a section as a whole
WHOLE = ("sections", "patients")

_HVG_SCOPES = ("training", "all")
_WORDS = {str: "words in quotes", int: "whole numbers", bool: "true or false"}
# what a plan's words may be
_LISTS: Mapping[str, type[Any]] = {"splits": str, "seeds": int, "encoders": str}
_SINGLE: Mapping[str, type[Any]] = {
    "genes": str,
    "note": str,
    "hvg_scope": str,
    "baselines": bool,
    "auxiliary": bool,
}


@dataclass(frozen=True, slots=True)
class SectionSpec:
    """Where a section is, and what reading it needs.

    Parameters
    ----------
    path
        As for :func:`histosge.read`.
    name
        In tables; empty takes the section's own.
    image, mpp
        As for :func:`histosge.read`.
    patient
        Whom it comes from; the split ``patients`` fits other patients only.
    """

    path: Path
    name: str = ""
    image: Path | None = None
    mpp: float | None = None
    patient: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One fit of a benchmark."""

    section: int
    split: str
    encoder: str
    entry: Entry
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compare with what, on what.

    Parameters
    ----------
    sections
        Real or synthetic ones.
    models
        Beside the baselines, which always run.
    splits
        ``random:0.5``, ``published``, ``blocks:6`` (width in pitches; ``blocks:6:2`` sets the guard band too),
        ``sublattice:3``, ``sections``, ``patients``. A split within a section followed by ``+auxiliary`` fits all other
        sections of the plan too.
    seeds
        Of split and fit.
    encoders
        For models that read features.
    genes, hvg_scope
        See :class:`histosge.evaluation.study.Study`.
    baselines
        Whether the baselines run.
    note
        What a reader of the table must know, such as "20 epochs in place of 1000".
    deviations
        Presets whose differences are switched one at a time.
    auxiliary
        Whether every split within a section is one ``+auxiliary``.
    """

    sections: tuple[SectionSpec, ...]
    models: tuple[Entry, ...] = ()
    splits: tuple[str, ...] = ("random:0.5",)
    seeds: tuple[int, ...] = (0, 1, 2)
    encoders: tuple[str, ...] = ("texture",)
    genes: str = "hvg:1000"
    hvg_scope: Literal["training", "all"] = "training"
    baselines: bool = True
    note: str = ""
    deviations: tuple[Switch, ...] = ()
    auxiliary: bool = False

    def __post_init__(self) -> None:
        for name in ("sections", "splits", "seeds", "encoders"):
            if not getattr(self, name):
                raise UsageError(f"A plan needs at least one of its {name}, got none.")
        if not self.entries:
            raise UsageError("A plan needs models, or its baselines; got neither.")
        for entry in self.entries:
            entry.build()
        for split in self.splits:
            if split.removesuffix(WITH_AUXILIARY) in WHOLE and split.endswith(WITH_AUXILIARY):
                raise UsageError(
                    f"'{split}' removes a section as a whole, and fits others anyhow: leave '{WITH_AUXILIARY}' out."
                )

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The baselines, the models asked for, and those that deviations are measured with, each once."""
        known: dict[tuple[str, str], Entry] = {}
        switched = [entry for switch in self.deviations for entry in switch.entries.values()]
        for entry in (*(BASELINES if self.baselines else ()), *self.models, *switched):
            known.setdefault((entry.model, entry.variant), entry)
        return tuple(known.values())

    @property
    def _splits(self) -> tuple[str, ...]:
        """The splits, each once, as they are in tables."""
        if not self.auxiliary:
            return self.splits
        named = (
            split if split in WHOLE else f"{split.removesuffix(WITH_AUXILIARY)}{WITH_AUXILIARY}"
            for split in self.splits
        )
        return tuple(dict.fromkeys(named))

    def cells(self) -> Iterator[Cell]:
        """Yield every fit, those of one section and split together; models that do not look run once."""
        for section in range(len(self.sections)):
            for split in self._splits:
                for seed in self.seeds:
                    for entry in self.entries:
                        looks = entry.build().needs.features
                        for encoder in self.encoders if looks else ("",):
                            yield Cell(section, split, encoder, entry, seed)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a plan from TOML; paths in it are relative to it.

        Raises
        ------
        UsageError
            For a missing file, one that is no TOML, and words that no plan has.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UsageError(f"Expected a plan at '{path}', found none.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise UsageError(f"Expected TOML in '{path}': {error}.") from error
        return cls.from_words(content, path.parent)

    @classmethod
    def from_words(cls, content: Mapping[str, Any], base: Path) -> Plan:
        """Return the plan that a mapping of plain values describes."""
        names = {item.name for item in fields(cls)}
        if unknown := set(content) - names:
            raise UsageError(f"A plan has no '{min(unknown)}'. It has {', '.join(sorted(names))}.")
        found: dict[str, Any] = dict(content)
        found["sections"] = tuple(_section(item, base) for item in _listed(content, "sections"))
        found["models"] = tuple(_entry(item) for item in _listed(content, "models"))
        found["deviations"] = tuple(Switch.from_words(item) for item in _listed(content, "deviations"))
        for name in [key for key in _LISTS if key in content]:
            found[name] = tuple(_each(item, _LISTS[name], name) for item in _listed(content, name))
        for name in [key for key in _SINGLE if key in content]:
            _each(content[name], _SINGLE[name], name)
        if (scope := content.get("hvg_scope", "all")) not in _HVG_SCOPES:
            raise UsageError(f"`hvg_scope` is 'training' or 'all', got '{scope}'.")
        return cls(**found)


def _listed(content: Mapping[str, Any], name: str) -> list[Any]:
    found = content.get(name, [])
    if not isinstance(found, list):
        raise UsageError(f"`{name}` in a plan is a list, got {found!r}.")
    return found


def _each(item: Any, kind: type[Any], name: str) -> Any:
    if type(item) is not kind:
        raise UsageError(f"`{name}` in a plan takes {_WORDS[kind]}, got {item!r}.")
    return item


def _section(item: Any, base: Path) -> SectionSpec:
    """Read a path, or a table with a path and what reading needs."""
    words = {"path": item} if isinstance(item, str) else item
    names = {field.name for field in fields(SectionSpec)}
    if not isinstance(words, Mapping) or "path" not in words or set(words) - names:
        raise UsageError(
            f"A section in a plan is a path, or a table of {', '.join(sorted(names))}; got {item!r}."
        )
    spec = SectionSpec(**{**words, "path": base / words["path"]})
    return spec if spec.image is None else replace(spec, image=base / spec.image)


def _entry(item: Any) -> Entry:
    """Read ``model:preset``, or a table with the model's options."""
    if isinstance(item, str):
        return Entry.parse(item)
    if not isinstance(item, Mapping) or "model" not in item:
        raise UsageError(f"A model in a plan is 'name:preset', or a table with `model`; got {item!r}.")
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}
    word = str(options.pop("model"))
    return Entry.parse(word, options)
