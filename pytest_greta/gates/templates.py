"""Templates in the commands of programs: `{context}`, `{variant}`, axes, and sums of whole numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from pytest_greta.errors import quote, suggestion
from pytest_greta.kernel import Size

_PLACE = re.compile(r"\{\{|\}\}|\{(?P<inner>[^{}]*)\}|[{}]")
_SUM = re.compile(r"\s*[+-]?\s*(?:[A-Za-z_]\w*|\d+)(?:\s*[+-]\s*(?:[A-Za-z_]\w*|\d+))*\s*")
_TERM = re.compile(r"(?P<sign>[+-]?)\s*(?P<term>\w+)")


def template_problems(text: str, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """What is wrong with a template, each with where it begins in the text. `known` are the names that it may use."""
    for place in _PLACE.finditer(text):
        if place[0] in ("{{", "}}"):
            continue
        inner = place["inner"]
        if inner is None:
            yield place.start(), f"a lone {place[0]}; write {place[0] * 2} for the sign itself"
        elif not _SUM.fullmatch(inner):
            yield (
                place.start(),
                f"{quote(place[0])} is no template; one reads like {{context}} or {{context+2}}",
            )
        else:
            for _, term in terms(inner):
                if not term.isdecimal() and term not in known:
                    yield (
                        place.start(),
                        f"unknown name {quote(term)} in a template; {suggestion(term, known)}",
                    )


def terms(inner: str) -> list[tuple[int, str]]:
    """The terms of a sum, each with its sign."""
    return [(-1 if term["sign"] == "-" else 1, term["term"]) for term in _TERM.finditer(inner)]


def added_names(text: str) -> set[str]:
    """The names that a template adds up, which must be whole numbers."""
    sums = (terms(place["inner"]) for place in _PLACE.finditer(text) if place["inner"])
    return {term for one in sums if len(one) > 1 or one[0][0] < 0 for _, term in one if not term.isdecimal()}


def fill(text: str, values: Mapping[str, Size]) -> str:
    """A template with its values. KeyError for a name that has none; what is summed up must be whole numbers."""

    def replaced(place: re.Match[str]) -> str:
        if place["inner"] is None:
            return place[0][0]
        found = terms(place["inner"])
        if len(found) == 1 and found[0][0] == 1:
            term = found[0][1]
            return term if term.isdecimal() else str(values[term])
        return str(sum(sign * int(term if term.isdecimal() else values[term]) for sign, term in found))

    return _PLACE.sub(replaced, text)
