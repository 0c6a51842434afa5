"""The rules of the house: what may know of what, and how large things may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import cast

import pytest

import histosge

SRC = Path(histosge.__file__).parent
FILES = sorted(SRC.rglob("*.py"))

# ground floor first: a room may import from its own floor and from those before it
with (Path(__file__).parents[2] / "docs" / "floors.toml").open("rb") as file:
    FLOORS = [tuple(floor["rooms"]) for floor in tomllib.load(file)["floor"]]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "scanpy",
    "anndata",
    "zarr",
    "spatialdata",
    "skimage",
}
HEAVY |= {"sklearn", "matplotlib", "pandas", "PIL", "tifffile", "openslide", "h5py", "huggingface_hub"}


def name_of(path: Path) -> str:
    return str(path.relative_to(SRC))


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


ROOMS = sorted({room_of(path) for path in FILES})


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def of_each_room(rule: Callable[[Path], None]) -> Callable[[str], None]:
    """Make a rule of one file a test a room, which names all files that break it."""

    def test(room: str) -> None:
        broken = []
        for path in (path for path in FILES if room_of(path) == room):
            try:
                rule(path)
            except AssertionError as error:
                broken.append(f"{name_of(path)}: {error}")
        assert not broken, "\n".join(broken)

    test.__doc__ = rule.__doc__
    return cast("Callable[[str], None]", pytest.mark.parametrize("room", ROOMS)(test))


def at_module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run on import: not those inside functions, nor those for type checkers alone."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            waiting += node.body
        elif isinstance(node, ast.ClassDef):
            waiting += [item for item in node.body if not isinstance(item, (ast.FunctionDef, ast.Expr))]
        yield node


def rooms_imported(path: Path, nodes: Iterator[ast.AST]) -> set[str]:
    """Rooms of the package that a file's import statements name."""
    package = ["histosge", *path.relative_to(SRC).parts[:-1]]
    found: set[str] = set()
    for node in nodes:
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        parts = [*base, *(node.module.split(".") if node.module else [])]
        if parts[:1] != ["histosge"]:
            continue
        found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found & set(FLOOR)


def test_every_file_has_its_floor() -> None:
    """No room was added without saying what it may know."""
    assert {room_of(path) for path in FILES} <= set(FLOOR) | {"py"}


@of_each_room
def test_imports_only_go_down(path: Path) -> None:
    """A file imports, on import or later, only from its own floor or from lower ones."""
    floor = FLOOR[room_of(path)]
    # the registry's artefacts and the reader's last check are called late, but are no exception
    above = {room for room in rooms_imported(path, ast.walk(tree_of(path))) if FLOOR[room] > floor}
    assert not above, f"{name_of(path)} knows of {above}"


def module_of(path: Path) -> str:
    parts = ("histosge", *path.relative_to(SRC).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def modules_imported(path: Path) -> set[str]:
    """Modules and names that a file imports anywhere but inside functions: for type checkers alone counts too."""
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imported: set[str] = set()
    nodes: list[ast.stmt] = list(tree_of(path).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            nodes += node.body
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            imported |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return imported


def test_modules_do_not_import_each_other_in_circles() -> None:
    """The files' imports have an order, those for type checkers alone included."""
    edges = {module_of(path): modules_imported(path) for path in FILES}
    # the public names are imported where they are first used; a package and a module in it know each other by nature
    edges.pop("histosge")
    edges = {
        module: {other for other in others if other in edges and not module.startswith(f"{other}.")}
        for module, others in edges.items()
    }
    while True:
        leaves = {module for module, others in edges.items() if not others & set(edges)}
        if not leaves:
            break
        edges = {module: others for module, others in edges.items() if module not in leaves}
    assert not edges, "\n".join(
        f"{module} imports {sorted(others & set(edges))}" for module, others in edges.items()
    )


def test_the_top_has_two_dozen_entries() -> None:
    """A stranger sees at most 25 entries at the top of the package."""
    # py.typed is a mark for type checkers, and has no content
    entries = [path.name for path in SRC.iterdir() if path.name not in ("__pycache__", "py.typed")]
    assert len(entries) <= 25, sorted(entries)


@of_each_room
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    """Nothing slow is imported on import, except by the networks, which are themselves imported late."""
    if "networks" in path.parts:
        return
    found = set()
    for node in at_module_level(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    assert not found & HEAVY


def test_importing_the_package_is_light() -> None:
    """``import histosge`` loads neither torch nor scanpy nor anything else heavy."""
    code = "import sys, histosge; print(','.join(sorted({m.split('.')[0] for m in sys.modules})))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not set(loaded.strip().split(",")) & HEAVY


@of_each_room
def test_files_and_functions_stay_small(path: Path) -> None:
    """A file has at most 400 lines; a function at most 36 lines of body and 8 parameters."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        first = node.body[0]
        documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        body = node.body[1:] if documented else node.body
        lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
        assert lines <= 36, f"{node.name} has {lines} lines"
        # options of a command line are a list of words by nature
        if room_of(path) != "cli":
            named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([item for item in named if item.arg not in ("self", "cls")])
            assert count <= 8, f"{node.name} has {count} parameters"


@of_each_room
def test_public_names_are_declared_and_documented(path: Path) -> None:
    """Each file declares ``__all__``, and each function and class in it has a docstring."""
    tree = tree_of(path)
    assert ast.get_docstring(tree)
    declared = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    if path.name in ("__main__.py",) or (path.name == "__init__.py" and len(tree.body) <= 2):
        return
    assert declared, "no __all__"
    if path.name != "__init__.py":
        public = set(ast.literal_eval(declared[0].value))
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in public:
                assert ast.get_docstring(node), f"{node.name} is not documented"


def test_gradients_flow_backwards_in_one_file() -> None:
    """There is one training loop."""
    loops = [name_of(path) for path in FILES if ".backward(" in path.read_text(encoding="utf-8")]
    assert loops == ["models/deep/training.py"]


@of_each_room
def test_nothing_is_printed_and_nothing_swallowed(path: Path) -> None:
    """No ``print``, no bare ``except``, no ``except Exception: pass``, no assert for users' mistakes."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print"
        assert not isinstance(node, ast.Assert)
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            caught = ast.unparse(node.type)
            silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            assert not (silent and caught in ("Exception", "BaseException"))


def test_the_lazy_table_is_what_is_public() -> None:
    """Every name that the package offers can be had, and is offered in ``dir``."""
    for name in histosge.__all__:
        assert getattr(histosge, name) is not None
    assert set(histosge.__all__) <= set(dir(histosge))
