"""English prose that every Python carries: the topics of its help, as ``help("if")`` shows them.

They are the language reference in plain text, the module ``pydoc_data.topics``, under the licence
of Python itself (the PSF's). The topics are those of the Python that runs: figures measured on this
text belong to its version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pydoc_data.topics import topics

#: Of so many topics, one is kept for validation.
VALIDATION_SHARE = 4


def training_text() -> str:
    """All topics but those of ``validation_text``, sorted by name, one after the other."""
    return _joined(lambda name: not _validates(name))


def validation_text() -> str:
    """One topic in ``VALIDATION_SHARE``, chosen by its name alone."""
    return _joined(_validates)


def _joined(chosen: Callable[[str], bool]) -> str:
    return "".join(topics[name] for name in sorted(topics) if chosen(name))


def _validates(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % VALIDATION_SHARE == 0
