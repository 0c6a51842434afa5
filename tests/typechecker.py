"""The run-time type checker of the tests: an int will do where a float is asked for, as in static typing.

jaxtyping's own decorator checks the parameters of every function twice, and builds two functions for each one at
import, which takes long. This one checks the same hints once, and builds at the first call.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, get_args, get_type_hints

from beartype import BeartypeConf, beartype
from beartype.door import die_if_unbearable
from jaxtyping import AbstractArray, jaxtyped

_CONFIG = BeartypeConf(is_pep484_tower=True)
check = beartype(conf=_CONFIG)


def decorator(*, typechecker: Any) -> Callable[[Any], Any]:
    """Take the place of ``jaxtyping.jaxtyped``, which the import hook puts on every function and class."""
    del typechecker  # `check`, by way of the hook
    return _checked


def _checked(target: Any) -> Any:
    if not inspect.isclass(target):
        return _at_first_call(target)
    if dataclasses.is_dataclass(target) and "__init__" in vars(target):
        target.__init__ = _at_first_call(target.__init__)  # type: ignore[method-assign]
    return target


def _at_first_call(function: Any) -> Callable[..., Any]:
    """Return the function with its checks, which are built when it is called."""
    built: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal built
        if built is None:
            built = _with_checks(function)
        return built(*args, **kwargs)

    return call


def _with_checks(function: Any) -> Callable[..., Any]:
    """Return a copy whose hints are checked; a name of an axis has one length in all hints of a call."""
    code, defaults, closure = function.__code__, function.__defaults__, function.__closure__
    copy = FunctionType(code, function.__globals__, function.__name__, defaults, closure)
    copy.__kwdefaults__, copy.__qualname__, copy.__module__ = (
        function.__kwdefaults__,
        function.__qualname__,
        function.__module__,
    )
    hints = {name: _resolved(hint, function.__globals__) for name, hint in function.__annotations__.items()}
    copy.__annotations__ = hints
    inner: Callable[..., Any] = check(copy)
    if not any(map(_has_shape, hints.values())):
        return inner
    if inspect.isgeneratorfunction(function):
        # its body, and beartype's check with it, would run later, among the axes of whoever takes its values
        return _with_checked_arguments(function, hints)

    def scoped(*args: Any, **kwargs: Any) -> Any:
        with jaxtyped("context"):
            return inner(*args, **kwargs)

    return scoped


def _with_checked_arguments(function: Any, hints: dict[str, Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    def called(*args: Any, **kwargs: Any) -> Any:
        with jaxtyped("context"):
            for name, value in signature.bind(*args, **kwargs).arguments.items():
                die_if_unbearable(value, hints.get(name, Any), conf=_CONFIG)
        return function(*args, **kwargs)

    return called


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """Return what a hint stands for; ``Any`` for what only the static checker imports."""

    def holder() -> None: ...

    holder.__annotations__ = {"value": hint}
    try:
        return get_type_hints(holder, names, include_extras=True)["value"]
    except Exception:  # whatever evaluating it raises
        return Any


def _has_shape(hint: Any) -> bool:
    return (inspect.isclass(hint) and issubclass(hint, AbstractArray)) or any(map(_has_shape, get_args(hint)))
