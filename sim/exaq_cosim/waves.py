"""The file of a simulation's waves."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exaq_cosim.stream import SimulationError


@contextmanager
def kept_waves(waves: str | os.PathLike[str] | None) -> Iterator[Path | None]:
    """A temporary file beside ``waves`` that takes its place, also when the unit is at fault."""
    if waves is None:
        yield None
        return
    target = Path(waves)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.touch()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    try:
        try:
            yield temporary
        except SimulationError:
            temporary.replace(target)
            raise
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
