"""When a series of pairs is looked at. Pure."""

from __future__ import annotations

EVERY_COUPLE = 100
"""So many couples have a look after each; as many again after each second, twice as many after each fourth ..."""


def next_look(couples: int) -> int:
    """After how many couples the look comes that follows the one after `couples`.

    The guarantee is about all looks at once, so they may come whenever one likes. A look takes time in proportion to
    the couples there are; looks that become rarer as a series grows keep what all of them take in proportion to its
    length. The next is never more than 2 % away.
    """
    return couples + (1 << (couples // EVERY_COUPLE).bit_length())
