"""Names of others in what is written: in Python, in YAML, in prose, whatever characters they have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from pytest_greta.errors import printable

MOST_LETTERS = 80
"""Of a name that is made of another: folders and files are called after it."""
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
"""Of YAML, in any case, to some reader."""
_TAKEN = ("Array", "Kernel", "Launch", "Variant", "None", "True", "False")
"""What no class of a conftest file can be called: what it imports, and words of Python."""


def quoted(name: str) -> str:
    """A text between double quotes, which Python and YAML read alike."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'


def within(name: str) -> str:
    """A text as a part of a docstring, on its line."""
    return quoted(name)[1:-1]


def plain(name: str) -> str:
    """A text as a key or value of YAML, quoted where it would be taken for something else, or not at all."""
    is_word = re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) and name.lower() not in _WORDS
    return name if is_word else quoted(name)


def identifier(name: str) -> str:
    """A name of C++, or of a file, as one of Python."""
    made = re.sub(r"[\W_]+", "_", name, flags=re.ASCII).strip("_")
    made = f"k{made}" if not made or made[0].isdigit() else made
    return made[:MOST_LETTERS].rstrip("_")


def numbered(name: str, taken: Collection[str], joint: str = "_") -> str:
    """A name that nothing has yet: `name`, or with a number behind it."""
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}{joint}{number}"
    return made


def identifiers(names: Iterable[str], taken: Collection[str] = ()) -> list[str]:
    """A name of Python for each name of C++, none twice, and none that is `taken`."""
    made: list[str] = []
    for name in names:
        made.append(numbered(identifier(name), [*taken, *made]))
    return made


def classes(names: Iterable[str]) -> list[str]:
    """A name of a class for each name of Python, none twice, and none that a conftest file needs for something else."""
    made: list[str] = []
    for name in names:
        title = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        made.append(numbered(f"{title}Kernel" if title in _TAKEN else title, made, joint=""))
    return made
