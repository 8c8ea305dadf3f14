"""Text that every Python carries: sources and docstrings of its standard library.

The choice is the same for the same Python, and differs between versions and distributions of it:
figures measured on this text belong to the Python that they were measured with.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

#: Of so many files, one is kept for validation.
VALIDATION_SHARE = 16
#: Docstrings that ``docstrings`` chooses.
DOCSTRINGS = 60

# Not text of the library itself, or tables rather than text, or absent from some distributions.
_LEFT_OUT = {"test", "tests", "site-packages", "dist-packages", "encodings", "pydoc_data"} | {
    "idlelib",
    "lib2to3",
    "turtledemo",
    "ensurepip",
}
# Shorter docstrings say too little for an embedding.
_LEAST_CHARACTERS = 400


@cache
def sources() -> tuple[tuple[str, str], ...]:
    """Name and text of the library's files in Python, by name; names have forward slashes."""
    library = Path(sysconfig.get_path("stdlib"))
    return tuple(
        (path.relative_to(library).as_posix(), path.read_text(encoding="utf-8", errors="replace"))
        for path in sorted(library.rglob("*.py"))
        if not _left_out(path.relative_to(library))
    )


def training_text() -> str:
    """All sources but those of ``validation_text``, one after the other."""
    return "".join(text for name, text in sources() if not _validates(name))


def validation_text() -> str:
    """One file in ``VALIDATION_SHARE``, chosen by its name alone."""
    return "".join(text for name, text in sources() if _validates(name))


def docstrings(count: int = DOCSTRINGS) -> list[str]:
    """``count`` docstrings of modules, classes and functions, one a file at most.

    Of each file the longest docstring, where it has at least 400 characters, spaces and ends of
    line joined to one space; of those the ones whose file names have the lowest hashes, which is a
    choice across the whole library.
    """
    chosen: list[str] = []
    for _, text in sorted(sources(), key=lambda source: _hash(source[0])):
        longest = max(_docstrings(text), key=len, default="")
        if len(longest) >= _LEAST_CHARACTERS:
            chosen.append(longest)
        if len(chosen) == count:
            return chosen
    raise ValueError(f"this Python's library has {len(chosen)} such docstrings, not {count}")


def windows(
    text: str, count: int, tokens: int, tokenizer: Callable[[str], Tensor], characters: int = 1
) -> Tensor:
    """``count`` stretches of ``tokens`` tokens, their beginnings spread evenly over ``text``.

    Parameters
    ----------
    text
        At least ``tokens * characters`` characters.
    count, tokens
        At least 1.
    tokenizer
        Token numbers of a text, shape (tokens,).
    characters
        How many characters are looked at for a token; more than a token has on average.

    Returns
    -------
    Tensor
        Shape (count, tokens).
    """
    span = tokens * characters
    last = len(text) - span
    starts = [round(k * last / max(count - 1, 1)) for k in range(count)]
    stretches = [tokenizer(text[start : start + span])[:tokens] for start in starts]
    if last < 0 or any(len(stretch) < tokens for stretch in stretches):
        raise ValueError(f"the text is too short for windows of {tokens} tokens")
    return torch.stack(stretches)


def _docstrings(text: str) -> Iterator[str]:
    with_docstring = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, with_docstring) and (found := ast.get_docstring(node, clean=False)):
            yield " ".join(inspect.cleandoc(found).split())


def _left_out(path: Path) -> bool:
    # _sysconfigdata tells of the machine that Python was built on; config-* likewise.
    return any(
        part in _LEFT_OUT or part.startswith(("_sysconfigdata", "config-")) for part in path.parts
    )


def _validates(name: str) -> bool:
    return _hash(name)[0] % VALIDATION_SHARE == 0


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
