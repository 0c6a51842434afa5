"""The application: every file of this folder that declares a command."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer

from .command import GROUPS, PANELS, Command, HelpfulCommand

__all__ = ["application"]


def application(words: Sequence[str] = ()) -> typer.Typer:
    """Return the application with every command of this folder, by panels and then by name.

    Parameters
    ----------
    words
        As typed. Where the first is the name of a command, the application has this one alone, which starts sooner.
    """
    app = typer.Typer(
        name="histosge",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_version)
    groups: dict[str, typer.Typer] = {}
    for command in sorted(
        _commands(words), key=lambda item: (PANELS.index(item.panel), item.order, item.name)
    ):
        group, _, name = command.name.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer(no_args_is_help=True)
            app.add_typer(groups[group], name=group, help=GROUPS[group], rich_help_panel=command.panel)
        parent = groups[group] if group else app
        parent.command(name=name, rich_help_panel=command.panel, cls=HelpfulCommand)(command.run)
    return app


def _commands(words: Sequence[str]) -> list[Command]:
    package = __name__.rpartition(".")[0]
    names = [module.name for module in pkgutil.iter_modules(_folder(package))]
    alone = _declared(package, [name for name in words[:1] if name in names])
    # groups have several commands in files of other names
    named = len(alone) == 1 and alone[0].name == words[0]
    return alone if named else _declared(package, names)


def _declared(package: str, names: Sequence[str]) -> list[Command]:
    modules = (import_module(f"{package}.{name}") for name in names)
    return [value for module in modules for value in vars(module).values() if isinstance(value, Command)]


def _folder(package: str) -> Any:
    return import_module(package).__path__


def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """High-resolution gene expression from a histology image and a spatial-transcriptomics section."""
    if version:
        typer.echo(f"histosge {installed_version('histosge')}")
        raise typer.Exit
