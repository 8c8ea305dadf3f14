"""How the project's docstrings become Markdown, for the API pages of the site.

They are written to be read as plain text. A power is ``2**bits``, which Markdown would take for
bold type; what an object has is listed under "Members", which is numpydoc's "Attributes"; and names
that share a description share a line, where griffe would give all of them the first one's default.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_CODE = re.compile(r"(``.*?``|`[^`\n]*`)", re.DOTALL)
_MEMBERS = re.compile(r"^Members\n-+$", re.MULTILINE)
_SHARED = re.compile(r"^(\w+(?:, \w+)+)\n((?: {4}.*\n?)+)", re.MULTILINE)


def markdown(text: str) -> str:
    """A docstring's ``text`` as Markdown in the sections of numpydoc."""
    text = _SHARED.sub(_apart, _MEMBERS.sub("Attributes\n----------", text))
    parts = _CODE.split(text)
    # Every second part is code.
    parts[::2] = [re.sub(r"(?<=\S)\*\*(?=\S)", r"\\*\\*", part) for part in parts[::2]]
    return "".join(parts)


def _apart(found: re.Match[str]) -> str:
    names, description = found.groups()
    description = description.rstrip("\n") + "\n"
    return "".join(f"{name}\n{description}" for name in names.split(", "))


class Docstrings(Extension):
    """Called by griffe for every object that it has read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Replace the docstring of ``obj``."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
