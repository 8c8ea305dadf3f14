"""The version that emitted designs tell: what stands in the register VERSION, and in what a board
says of itself.

What is measured and proved of a design holds for the next release too, if nothing but this number
changed. So what is kept is told apart by texts with one number, whichever release made them:

>>> from exaq.release import REFERENCE, as_compared, release
>>> with as_compared():
...     release() == REFERENCE
True
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import metadata

#: The number in texts that are compared. Any would do; the first reports had this one.
REFERENCE = "0.1.0"
_COMPARED: ContextVar[bool] = ContextVar("compared", default=False)


def release() -> str:
    """The project's version, or within ``as_compared`` the one of texts that are compared."""
    return REFERENCE if _COMPARED.get() else metadata.version("exaq-softmax")


@contextmanager
def as_compared() -> Iterator[None]:
    """Designs that are emitted within have the version ``REFERENCE``."""
    before = _COMPARED.set(True)
    try:
        yield
    finally:
        _COMPARED.reset(before)
