"""How the project's docstrings become Markdown, for the API pages of the site.

They are written to be read as plain text: a power is ``2**bits``, which Markdown would take for
bold type, and what an object has is listed under "Members", which is numpydoc's "Attributes".
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_CODE = re.compile(r"(``.*?``|`[^`\n]*`)", re.DOTALL)
_MEMBERS = re.compile(r"^Members\n-+$", re.MULTILINE)


def markdown(text: str) -> str:
    """A docstring's ``text`` as Markdown in the sections of numpydoc."""
    parts = _CODE.split(_MEMBERS.sub("Attributes\n----------", text))
    # Every second part is code.
    parts[::2] = [re.sub(r"(?<=\S)\*\*(?=\S)", r"\\*\\*", part) for part in parts[::2]]
    return "".join(parts)


class Docstrings(Extension):
    """Called by griffe for every object that it has read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Replace the docstring of ``obj``."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
