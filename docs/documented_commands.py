"""Find the commands in the documents, and say what is wrong with one without running it.

    python docs/documented_commands.py

A *documented command* made something that the documents show. It stands

* in a block of shell on a page of docs/results, or
* in another block that names ``../shared/data``, ``benchmarks/`` or ``tests/`` somewhere, or
* in backticks in the text, if it names one of these itself, or
* in the header of a script or plan in benchmarks/.

It is run from the root of the repository and finds real sections in ``../shared/data``; ``SECTION`` stands for one of
them. All other commands are examples: ``outs``, ``results``, ``A B C``, ``sheet.csv`` are the reader's own data.

Blocks are not read as text: Bash itself runs them, with `histosge` and `python` replaced by functions that write down
their arguments, and with no other program. So loops, variables, braces and patterns of file names are resolved, and
nothing is computed or written.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HISTOSGE_REAL_DATA", ROOT.parent / "shared" / "data"))
_BLOCK = re.compile(
    r"(?:<!-- not compared: ([^\n]*) -->\n+)?^```(\w*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE
)
_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:histosge|python) ")
_INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )*(?:histosge|python)\s[^`]*)`")
_PARAGRAPH = re.compile(r"(?:<!-- not compared: ([^\n]*) -->\n+)?((?:[^\n]*\S[^\n]*(?:\n|\Z))+)")
_OWN = re.compile(r"\.\./shared/data|\b(?:benchmarks|tests)/")
_PLACEHOLDERS = re.compile(r"/?(?:SECTION|FOLDER|RUN)\b.*")


@dataclass(frozen=True)
class Command:
    """A documented command, on one line, and why its figures are not compared."""

    page: Path
    line: str
    reason: str
    block: str

    def calls(self) -> list[list[str]]:
        """Return the words of the programs that the command, or the block around it, would start."""
        return calls(self.block or self.line)


def commands(page: Path) -> list[Command]:
    """Return the documented commands of a page, each once: those in blocks first."""
    text = page.read_text(encoding="utf-8")
    kept: dict[str, Command] = {}
    for match in _BLOCK.finditer(text):
        reason, language, block = match[1] or "", match[2], match[3]
        is_documented = page.parent.name == "results" or _OWN.search(block)
        for line in block.replace("\\\n", " ").splitlines() if language in ("", "bash", "console") else ():
            line = " ".join(line.partition(" # ")[0].split())
            if is_documented and _COMMAND.match(line):
                kept[line] = Command(page, line, reason, block)
    # the reason of a command in the text stands above its paragraph, or its table
    for paragraph in _PARAGRAPH.finditer(_BLOCK.sub("", text)):
        for match in _INLINE.findall(paragraph[2]):
            line = " ".join(match.split())
            if _OWN.search(line) and line not in kept:
                kept[line] = Command(page, line, paragraph[1] or "", "")
    return list(kept.values())


def tables_without_command(page: Path) -> list[str]:
    """Return the headings above which tables of numbers stand that no command made and no reason excuses.

    A table of numbers has a column that is aligned to the right. Its command, in a block of shell or Python or in
    the text, stands under the same heading or one that this is part of; or the reason stands above the table.
    """
    own = [command.line for command in commands(page)]
    text, under, missing = page.read_text(encoding="utf-8"), dict[int, str](), []
    _, *parts = re.split(r"^(#+) (?=\w)(.*)$", f"# {page.name}\n{text}", flags=re.MULTILINE)
    for level, heading, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        under = {outer: part for outer, part in under.items() if outer < len(level)}
        under[len(level)] = " ".join(body.replace("\\\n", " ").split())
        made = any(line in part for part in under.values() for line in (*own, "```python"))
        tables = re.finditer(r"^\|[^\n]*\n\|[-:| ]*--:[-:| ]*\n", body, flags=re.MULTILINE)
        missing += [
            heading for table in tables if not made and not body[: table.start()].rstrip().endswith("-->")
        ]
    return missing


def headers(file: Path) -> list[Command]:
    """Return the commands in the header of a script or plan: optional parts are kept, and their brackets left out."""
    text = file.read_text(encoding="utf-8")
    lines = (
        ast.get_docstring(ast.parse(text)) or ""
        if file.suffix == ".py"
        else re.sub(r"^# ?", "", text, flags=re.MULTILINE)
    )
    listed = []
    for line in lines.replace("\\\n", " ").splitlines():
        words = " ".join(line.replace("``", "").partition(" # ")[0].split())
        if _COMMAND.match(words):
            listed.append(Command(file, re.sub(r"[][…]", "", words), "", ""))
    return listed


def placed(text: str) -> str:
    """Return a text with the folder of the real sections where it is on this computer."""
    return re.sub(r"(?<![\w/.])\.\./shared/data", str(DATA), text)


@functools.cache
def calls(script: str) -> list[list[str]]:
    """Return the words of each call of `histosge` and `python` in a piece of Bash, which is resolved and not run."""
    write = "{ printf '%s\\037' NAME \"$@\"; printf '\\036'; } >&2"
    functions = "".join(f"{name}() {write.replace('NAME', name)}; " for name in ("histosge", "python"))
    # restricted, with no folder of programs: nothing can be started, no file written, no folder changed
    done = subprocess.run(
        [
            shutil.which("bash") or "bash",
            "--restricted",
            "-c",
            f"command_not_found_handle() {{ :; }}; {functions}\n{placed(script)}",
        ],
        cwd=ROOT,
        env={"PATH": "/none"},
        capture_output=True,
        text=True,
    )
    # other programs are not there; old versions of Bash say so instead of asking the function
    stderr = re.sub(r"^.*: command not found\n", "", done.stderr, flags=re.MULTILINE)
    *records, rest = stderr.split("\036")
    errors = [line for part in (*records, rest) for line in part.split("\037")[0].splitlines()[:-1]]
    if rest.strip() or errors:
        raise ValueError(f"{rest.strip() or errors[0]} in: {script}")
    return [record.split("\037")[:-1] for record in records]


def faults(words: list[str], *, with_data: bool) -> Iterator[str]:
    """Yield what is wrong with a call: programs, options, scripts, plans or sections that do not exist.

    Without the real sections, paths below them are not checked.
    """
    shown, arguments = " ".join(words), words[1:]
    options = options_of(words)
    if options is None:
        yield f"no such command: {shown}"
        return
    for word in arguments:
        name = word.partition("=")[0]
        if re.match(r"--[a-z]", word) and name not in options:
            yield f"no {name} in: {shown}"
    for word in arguments:
        path = _PLACEHOLDERS.sub("", word)
        is_real = path.startswith(str(DATA))
        is_checked = (is_real and with_data) or re.match(r"(benchmarks|tests|docs)/.*[^/]$", path)
        is_written = arguments[arguments.index(word) - 1] in ("--out", "--figure")
        if is_checked and not is_written and not (ROOT / path).exists():
            yield f"no such file: {path} in: {shown}"
        if with_data and path.endswith(".toml") and (ROOT / path).exists():
            plan = re.findall(r'shared/data/([^"]+)"', (ROOT / path).read_text(encoding="utf-8"))
            yield from (f"no section {name} of {path}" for name in plan if not (DATA / name).exists())


@functools.cache
def _histosge() -> dict[str, object]:
    from typer.main import get_command

    from histosge.cli import commands as all_commands

    return dict(get_command(all_commands()).commands)  # type: ignore[attr-defined]


def options_of(words: list[str]) -> set[str] | None:
    """Return the options that a call may have, or None where there is no such command or script."""
    program, first, *further = [*words, ""]
    if program == "python":
        return _options_of_script(ROOT / first) if (ROOT / first).is_file() else None
    command = _histosge().get(first)
    # commands of two words
    command = getattr(command, "commands", {}).get(further[0], command)
    if command is None:
        return {"--version", "--help"} if first.startswith("--") else None
    return {option for item in command.params for option in (*item.opts, *item.secondary_opts)}  # type: ignore[attr-defined]


@functools.cache
def _options_of_script(script: Path) -> set[str]:
    """Return the options that stand in a script, and in those beside it that it imports."""
    text = script.read_text(encoding="utf-8")
    beside = [
        script.with_name(f"{name}.py") for name in re.findall(r"^from (\w+) import", text, re.MULTILINE)
    ]
    own = {"--help", *re.findall(r"[\"'](--[a-z][\w-]*)", text)}
    own |= {f"--no-{name[2:]}" for name in own} if "BooleanOptionalAction" in text else set()
    return own.union(*(_options_of_script(path) for path in beside if path.exists()))


def pages() -> list[Path]:
    """Return the pages of the documents."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(page for page in paths if "_build" not in page.parts)


def all_faults(*, with_data: bool) -> list[str]:
    """Return the faults of all documented commands, each with its page."""
    listed = [command for page in pages() for command in commands(page)]
    for file in sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("benchmarks/*.toml")]):
        listed += headers(file)
    sentences = {}
    for command in listed:
        try:
            own = [fault for words in command.calls() for fault in faults(words, with_data=with_data)]
        except ValueError as error:
            own = [str(error)]
        sentences.update({f"{command.page.relative_to(ROOT)}: {fault}": None for fault in own})
    return list(sentences)


def main() -> int:
    """Print the faults of all documented commands."""
    with_data = DATA.is_dir()
    sentences = all_faults(with_data=with_data)
    print("\n".join(sentences) or "all documented commands name things that exist")
    if not with_data:
        print(f"paths of real sections were not checked: they are not at {DATA}")
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
