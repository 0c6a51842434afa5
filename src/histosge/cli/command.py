"""What a command is: a function of option groups, whose errors become sentences."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand
from typer.models import OptionInfo

from .screen import Progress, errors_as_sentences, progress_bars

__all__ = ["GROUPS", "PANELS", "Command", "HelpfulCommand", "command"]

#: panels of `histosge --help`, in their order
PANELS = ("Predict", "Use results", "Evaluate", "Help")

#: commands of two words: the first word, and what its commands do
GROUPS = {"programs": "Build gene programs of expression data without image or positions, or show them."}


@dataclass(frozen=True)
class Command:
    """A command of the application.

    Parameters
    ----------
    name
        As typed; of two words the first is one of :data:`GROUPS`.
    panel
        One of :data:`PANELS`.
    order
        Position within the panel; commands of one position are in the order of their names.
    run
        What Typer calls, with flat options.
    """

    name: str
    panel: str
    order: int
    run: Callable[..., None]


class HelpfulCommand(TyperCommand):
    """A command whose help is completed when it is printed, from what the registries hold then."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        from .options import LATE_HELP

        for parameter in self.params:
            text = getattr(parameter, "help", None) or ""
            for name, fill in LATE_HELP.items():
                if f"{{{name}}}" in text:
                    parameter.help = text.replace(f"{{{name}}}", fill())  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def command(
    panel: str, *, name: str | None = None, order: int = 1
) -> Callable[[Callable[..., None]], Command]:
    """Make a command of a function.

    Parameters of the function that are option groups (dataclasses of annotated fields) become one option a field,
    shown under the group's panel. A parameter of the type :class:`~histosge.cli.screen.Progress` is given a callback
    that draws progress bars. Errors of the package end the process with one sentence, in which a parameter of the
    package (`mpp`) is called by its option (--mpp).
    """

    def decorate(function: Callable[..., None]) -> Command:
        return Command(name or function.__name__.rstrip("_"), panel, order, _flat(function))

    return decorate


def _flat(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function with one parameter for each option of its groups."""
    hints = get_type_hints(function, include_extras=True)
    hints.pop("return", None)
    signature = inspect.signature(function)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    progress = next((name for name, kind in hints.items() if kind is Progress), None)
    parameters: list[inspect.Parameter] = []
    for name, kind in hints.items():
        if name == progress:
            continue
        if name in groups:
            parameters += _options(groups[name])
        else:
            parameters.append(_parameter(name, kind, signature.parameters[name].default))

    @functools.wraps(function)
    def flat(**options: Any) -> None:
        with errors_as_sentences(as_json=bool(options.get("json")), translate=_translation(parameters)):
            arguments = {name: group(**_part(group, options)) for name, group in groups.items()}
            arguments |= {name: options[name] for name in hints if name in options and name not in groups}
            if progress is None:
                function(**arguments)
                return
            with progress_bars() as callback:
                function(**arguments, **{progress: callback})

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


def _part(group: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {item.name: options[item.name] for item in fields(group)}


def _options(group: Any) -> list[inspect.Parameter]:
    """Return a group's fields as parameters, under the group's panel."""
    hints = get_type_hints(group, include_extras=True)
    return [
        _parameter(
            item.name,
            _with_panel(hints[item.name], group.panel),
            inspect.Parameter.empty if item.default is MISSING else item.default,
        )
        for item in fields(group)
    ]


def _with_panel(annotation: Any, panel: str) -> Any:
    kind, info = get_args(annotation)
    # arguments keep a panel of their own: they are typed without a name
    if isinstance(info, OptionInfo):
        info = copy(info)
        info.rich_help_panel = panel
    return Annotated[kind, info]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    if get_origin(annotation) is Annotated and _is_path(get_args(annotation)[0]):
        kind, info = get_args(annotation)
        info = copy(info)
        info.parser = _path
        if isinstance(info, OptionInfo):
            info.metavar = info.metavar or "PATH"
        annotation = Annotated[kind, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _is_path(kind: Any) -> bool:
    """Whether a type is a path, an optional one or a list of them."""
    return kind is Path or any(map(_is_path, get_args(kind)))


def _path(text: str | Path) -> Path:
    """Return a path as typed; an unset variable of a shell is empty, and is not the working directory."""
    if str(text) == "":
        raise typer.BadParameter("it is empty. Give a path; '.' is the working directory.")
    return Path(text)


def _translation(parameters: list[inspect.Parameter]) -> Callable[[str], str]:
    """Return what calls parameters of the package by the options of this command."""
    flags = {parameter.name.rstrip("_"): _flag(parameter) for parameter in parameters}
    # what the package calls otherwise than the command line does
    flags |= {"options": flags.get("set", ""), "auxiliary": flags.get("auxiliary_section", "")}
    flags |= {"formats": flags.get("format", "")}

    def translate(text: str) -> str:
        return re.sub(r"`(\w+)`", lambda match: flags.get(match.group(1)) or match.group(0), text)

    return translate


def _flag(parameter: inspect.Parameter) -> str:
    """Return the option as it is typed; of an argument, its name in capitals."""
    info = get_args(parameter.annotation)[-1] if get_origin(parameter.annotation) is Annotated else None
    # Typer takes the first name of an annotated option for its default
    names = (getattr(info, "default", None), *(getattr(info, "param_decls", None) or ()))
    declared = [name for name in names if isinstance(name, str) and name.startswith("--")]
    if type(info).__name__ == "ArgumentInfo":
        return str(getattr(info, "metavar", None) or parameter.name.upper())
    return declared[0] if declared else f"--{parameter.name.rstrip('_').replace('_', '-')}"
