"""The syntax of a Liberty file: groups in groups, each with attributes; nothing of their meaning.

>>> from exaq_asic.liberty.syntax import parse
>>> library = parse('library (small) { cell (INV) { area : 1.5; } }', "small.lib")
>>> library.arguments, library.groups[0].attributes
(('small',), {'area': ('1.5',)})
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field


class LibertyError(ValueError):
    """A Liberty file is not what it must be; the message is one line and names the file."""


@dataclass
class Group:
    """A group of a Liberty file.

    Members
    -------
    kind : its word, such as ``cell``
    arguments : what stands in its brackets
    attributes : what each attribute says; of one that comes several times, the last
    groups : those inside, in their order
    """

    kind: str
    arguments: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def of_kind(self, *kinds: str) -> Iterator[Group]:
        """The groups inside that are of one of ``kinds``."""
        return (group for group in self.groups if group.kind in kinds)

    def text(self, attribute: str, default: str = "") -> str:
        """The one value of an attribute."""
        return self.attributes.get(attribute, (default,))[0]


# A string or a comment, whichever begins first: a comment's mark in a string is none.
_COMMENTS = re.compile(r'("[^"]*")|/\*.*?\*/|//[^\n]*', re.DOTALL)
_STATEMENT = re.compile(
    r"""\s*(?:
      (?P<end>\}\s*;?)
    | (?P<word>\w+)\s*(?:
        \(\s*(?P<arguments>(?:[^()"]|"[^"]*")*)\)\s*(?P<opened>\{)?\s*;?
      | :\s*(?P<value>"[^"]*"|[^;{}\n]*?)\s*(?:;|\n|(?=\}))
      )
    )""",
    re.VERBOSE,
)
_ARGUMENT = re.compile(r'"([^"]*)"|([^\s,"]+)')
_LAST_WORDS = 40


def parse(text: str, name: str) -> Group:
    """The group ``library`` of a Liberty file.

    Parameters
    ----------
    text
        What the file holds.
    name
        The file's name in errors.

    Raises
    ------
    LibertyError
        The text is no library in Liberty's syntax.
    """
    text = _COMMENTS.sub(lambda found: found[1] or " ", text).replace("\\\n", " ")
    if not re.match(r"\s*library\s*\(", text):
        raise LibertyError(f"{name} is no Liberty file: it does not begin with library (...)")
    root = Group("file", ())
    inside, place = [root], 0
    while place < len(text):
        found = _STATEMENT.match(text, place)
        if found is None:
            rest = text[place:].strip()
            if rest:
                raise LibertyError(
                    f"{name} is no Liberty file: nothing can be made of {rest[:_LAST_WORDS]!r}"
                )
            break
        place = found.end()
        if found["end"]:
            inside.pop()
            if not inside:
                raise LibertyError(f"{name} is no Liberty file: it closes more than it opened")
            continue
        if found["value"] is not None:
            inside[-1].attributes[found["word"]] = (found["value"].strip().strip('"'),)
            continue
        arguments = tuple(a or b for a, b in _ARGUMENT.findall(found["arguments"]))
        if found["opened"]:
            group = Group(found["word"], arguments)
            inside[-1].groups.append(group)
            inside.append(group)
        else:
            inside[-1].attributes[found["word"]] = arguments
    if len(inside) != 1:
        raise LibertyError(
            f"{name} is cut off: {inside[-1].kind} {inside[-1].arguments} has no end"
        )
    return root.groups[0]
