"""What a report's figures hold for: the design that a Verilog text describes, not its wording.

Synthesis flattens a unit, so comments and names of modules do not reach place and route: after
all modules had been renamed, tools gave the same figures for every seed, and an iCEBreaker the
same bitstream to the bit. Signals' names do reach them.
"""

from __future__ import annotations

import hashlib
import re

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_MODULE = re.compile(r"^\s*module\s+([A-Za-z_]\w*)", re.MULTILINE)
_IDENTIFIER = re.compile(r"\\\S+|[A-Za-z_$][\w$]*")


def design_hash(verilog: str) -> str:
    """SHA-256 of a text without its comments, its spacing and the names of its modules.

    Modules are numbered in the order in which they stand. Everything else counts.
    """
    text = _COMMENT.sub(" ", verilog)
    numbers = {name: f"module {place}" for place, name in enumerate(_MODULE.findall(text))}
    text = _IDENTIFIER.sub(lambda found: numbers.get(found[0], found[0]), text)
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
