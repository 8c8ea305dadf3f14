"""Where results that are dear to compute are kept between runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class CacheError(OSError):
    """The cache cannot be written; the message is one line that says where it may be instead."""


def cache_folder() -> Path:
    """The project's folder: $EXAQ_CACHE, else exaq in $XDG_CACHE_HOME or ~/.cache.

    Raises
    ------
    CacheError
        Neither variable is set, and the user has no home.
    """
    if folder := os.environ.get("EXAQ_CACHE"):
        return Path(folder).absolute()
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder).absolute() / "exaq"
    try:
        return Path.home().absolute() / ".cache" / "exaq"
    except RuntimeError as error:
        raise CacheError("there is no home folder for a cache; EXAQ_CACHE names one") from error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder in the cache, to make something in that is renamed into its place there.

    Raises
    ------
    CacheError
        It cannot be made.
    """
    cache = cache_folder()
    with _refusals(cache):
        cache.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix="build-", dir=cache)
    with scratch as name:
        yield Path(name)


def filled_folder(name: str, fill: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache; ``fill`` writes what is in it where it is not there.

    It appears whole or not at all, and is never written again: of processes that want it at once,
    one fills it, and the others wait.

    Raises
    ------
    CacheError
        It cannot be made.
    """
    folder = cache_folder() / name
    if folder.exists():
        return folder
    # Only here: the golden model also runs where there are no such locks.
    import fcntl

    lock = folder.with_name(f"{name}.lock")
    with scratch_folder() as scratch, _refusals(folder), lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not folder.exists():
            filling = scratch / name
            filling.mkdir()
            fill(filling)
            filling.rename(folder)
    return folder


def caching_environment() -> dict[str, str]:
    """The environment of a program that keeps a cache of its own: that goes into the project's.

    Raises
    ------
    CacheError
        It cannot be made.
    """
    cache = cache_folder()
    with _refusals(cache):
        (cache / "wasmtime").mkdir(parents=True, exist_ok=True)
    return os.environ | {"XDG_CACHE_HOME": str(cache)}


@contextmanager
def _refusals(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"the cache cannot be written: {place}: {error.strerror}; EXAQ_CACHE names another "
            "folder for it"
        ) from error
