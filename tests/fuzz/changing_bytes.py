"""Changes of a file's bytes, and of the file as a whole: what disks, transfers and people do to any format."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BYTES", "FILES", "MOST", "Numbers", "Operation"]

#: largest of the numbers that a mutation is drawn with
MOST = 2**31 - 1


class Numbers:
    """The drawn numbers of one change; each use takes the next one, and starts again after the last."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers, self.used = list(numbers) or [0], 0

    def next(self) -> int:
        self.used += 1
        return self.numbers[(self.used - 1) % len(self.numbers)]

    def below(self, size: int) -> int:
        """A number of 0 or more and less than ``size``; small draws stay small, so that heads of files are hit."""
        return self.next() % max(1, size)

    def anywhere(self, size: int) -> int:
        """A position in a file of that size: a quarter of the draws in its first bytes, the others anywhere."""
        if self.next() % 4 == 0:
            return self.below(min(size, 600))
        return min(size - 1, self.next() * size // (MOST + 1)) if size else 0

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.below(len(items))]


#: changes a file in place with drawn numbers
Operation = Callable[[Path, Numbers], None]


def _on_bytes(change: Callable[[bytearray, Numbers], bytes | bytearray]) -> Operation:
    def apply(path: Path, numbers: Numbers) -> None:
        path.write_bytes(change(bytearray(path.read_bytes()), numbers))

    return apply


def _flip(content: bytearray, numbers: Numbers) -> bytearray:
    if content:
        content[numbers.anywhere(len(content))] ^= 1 << numbers.below(8)
    return content


def _flip_some(content: bytearray, numbers: Numbers) -> bytearray:
    for _ in range(2 + numbers.below(7)):
        content = _flip(content, numbers)
    return content


def _set_bytes(content: bytearray, numbers: Numbers) -> bytearray:
    at, length = numbers.anywhere(len(content)), 1 + numbers.below(8)
    value = numbers.pick((0, 0xFF, 0x7F, 0x80, ord("9"), ord("-"), ord('"'), ord("\n")))
    content[at : at + length] = bytes([value]) * len(content[at : at + length])
    return content


def _truncate(content: bytearray, numbers: Numbers) -> bytearray:
    return content[: numbers.anywhere(len(content))]


def _insert(content: bytearray, numbers: Numbers) -> bytearray:
    at = numbers.anywhere(len(content))
    text = numbers.pick(
        (
            b"\0",
            b"\n",
            b",",
            b"\t",
            b"9",
            b"-",
            b"\xff",
            b"\xef\xbb\xbf",
            b"[",
            b"\x89PNG",
            b"a" * 64,
        )
    )
    return content[:at] + text + content[at:]


def _remove(content: bytearray, numbers: Numbers) -> bytearray:
    at = numbers.anywhere(len(content))
    return content[:at] + content[at + 1 + numbers.below(64) :]


def _blocks(content: bytearray, numbers: Numbers) -> tuple[int, int, int]:
    size = numbers.pick((8, 64, 512, 4096))
    return (
        numbers.anywhere(len(content)) // size * size,
        numbers.anywhere(len(content)) // size * size,
        size,
    )


def _swap_blocks(content: bytearray, numbers: Numbers) -> bytearray:
    first, second, size = _blocks(content, numbers)
    one, other = content[first : first + size], content[second : second + size]
    if len(one) == len(other):
        content[first : first + size], content[second : second + size] = other, one
    return content


def _zero_block(content: bytearray, numbers: Numbers) -> bytearray:
    first, _, size = _blocks(content, numbers)
    content[first : first + size] = bytes(len(content[first : first + size]))
    return content


def _repeat_block(content: bytearray, numbers: Numbers) -> bytearray:
    first, second, size = _blocks(content, numbers)
    return content[:second] + content[first : first + size] + content[second:]


BYTES: dict[str, Operation] = {
    "flip a bit": _on_bytes(_flip),
    "flip some bits": _on_bytes(_flip_some),
    "set bytes": _on_bytes(_set_bytes),
    "truncate": _on_bytes(_truncate),
    "insert bytes": _on_bytes(_insert),
    "remove bytes": _on_bytes(_remove),
    "swap blocks": _on_bytes(_swap_blocks),
    "zero a block": _on_bytes(_zero_block),
    "repeat a block": _on_bytes(_repeat_block),
}


def _others(path: Path) -> list[Path]:
    return sorted(other for other in path.parent.iterdir() if other.is_file() and other != path)


def _delete(path: Path, numbers: Numbers) -> None:
    path.unlink()


def _empty(path: Path, numbers: Numbers) -> None:
    path.write_bytes(b"")


def _folder(path: Path, numbers: Numbers) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path, numbers: Numbers) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _exchange(path: Path, numbers: Numbers) -> None:
    if others := _others(path):
        other = numbers.pick(others)
        one, two = path.read_bytes(), other.read_bytes()
        path.write_bytes(two)
        other.write_bytes(one)


def _copy(path: Path, numbers: Numbers) -> None:
    name = numbers.pick(
        (
            f"copy_of_{path.name}",
            f"GSM1_{path.name}",
            f"{path.stem} (1){path.suffix}",
            f"{path.name}.gz",
        )
    )
    shutil.copy(path, path.with_name(name))


FILES: dict[str, Operation] = {
    "delete the file": _delete,
    "empty the file": _empty,
    "a folder in its place": _folder,
    "a link to itself": _loop,
    "exchange two files": _exchange,
    "copy beside it": _copy,
}
