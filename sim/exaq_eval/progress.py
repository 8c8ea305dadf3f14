"""How long work says where it is."""

from collections.abc import Callable

#: Told the steps done, the steps there are, and what is done now.
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, now: str) -> None:
    """A ``Progress`` that shows nothing."""
