"""Files of the user: outputs that appear whole or not at all, inputs that are what they must be."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

from exaq import TableFile
from exaq_cli.errors import UserError, user_errors

# What a user calls them, and NumPy's kind letters.
_KINDS = {"integer": "iu", "float": "f", "boolean": "b"}


@contextmanager
def replacing(*paths: Path, inputs: Sequence[Path | None] = ()) -> Iterator[tuple[Path, ...]]:
    """Write ``paths`` all or none: yields a temporary path beside each, of the same suffix.

    The temporary files exist, empty, from the start, so an output that cannot be written is
    refused before the work begins. Folders that are missing are made. When the body ends, the
    temporary files take the places of ``paths``; when it raises, or SIGTERM ends it, they go, the
    folders made too, and ``paths`` stay as they were. Wrap the whole computation, not only the
    writing. ``inputs`` are files that the command reads, None where it reads none, and that no
    output may replace.

    Raises
    ------
    UserError
        A folder cannot be made or not be written, a path is no regular file, comes twice, or is
        one of ``inputs``.
    """
    targets = [path.resolve() for path in paths]
    read = [path.resolve() for path in inputs if path is not None]
    scratch = [t.with_name(f".{t.stem}.{os.getpid()}{t.suffix}") for t in targets]
    with ExitStack() as stack:
        stack.enter_context(_terminable())
        for path, target, temporary in zip(paths, targets, scratch, strict=True):
            if targets.count(target) > 1:
                raise UserError(f"cannot write {path}: two outputs of one command have that name")
            if target in read:
                raise UserError(f"cannot write {path}: the command reads it")
            try:
                if target.exists() and not target.is_file():
                    raise UserError(f"cannot write {path}: it is there and not a regular file")
                for folder in _missing(target.parent):
                    folder.mkdir(exist_ok=True)
                    stack.callback(_remove_empty, folder)
                temporary.touch(exist_ok=False)
            except OSError as error:
                raise UserError(f"cannot write {path}: {error.strerror}") from error
            stack.callback(temporary.unlink, missing_ok=True)
        yield tuple(scratch)
        for target, temporary in zip(targets, scratch, strict=True):
            temporary.replace(target)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM does as Ctrl-C does: nothing is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _missing(folder: Path) -> list[Path]:
    """Those of ``folder`` and all above it that are not there, the uppermost first."""
    return [path for path in (*reversed(folder.parents), folder) if not path.exists()]


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def made_folder(path: Path) -> Path:
    """The folder, made with all above it where it is missing; UserError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}") from error
    return path


@contextmanager
def write_text(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text file with plain line feeds that appears at ``path`` when the body ends well."""
    with (
        replacing(path) as (temporary,),
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        yield file


@contextmanager
def write_bytes(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears at ``path`` when the body ends well."""
    with replacing(path) as (temporary,), temporary.open("wb") as file:
        yield file


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write ``array`` as .npy to ``path``, under just that name, whole or not at all."""
    with replacing(path) as (temporary,):
        put_array(temporary, array)


def put_array(path: Path, array: NDArray[Any]) -> None:
    """The same of a file that is already being written, as one of ``replacing``."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def load_array(
    path: Path, *kinds: str, fits: tuple[int, ...] | None = None, finite: bool = True
) -> NDArray[Any]:
    """The .npy file at ``path``: not empty and in native byte order.

    Parameters
    ----------
    path
        The file.
    kinds
        What it may hold: any of "integer", "float", "boolean".
    fits
        Shape that the array must broadcast to. None: any shape with at least one axis.
    finite
        Whether every value must be finite.

    Raises
    ------
    UserError
        The file is missing, no .npy file, or holds anything else; the message names the file,
        what is wrong and what is legal.
    """
    array = map_array(path, *kinds)
    if fits is None:
        check_row_axis(path, array)
    if fits is not None and not _broadcasts(array.shape, fits):
        raise UserError(f"{path} has the shape {array.shape}, which does not fit {fits}")
    if finite and array.dtype.kind == "f":
        check_values(path, array, np.isfinite(array), "finite")
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def map_array(path: Path, *kinds: str) -> NDArray[Any]:
    """The .npy file at ``path``, mapped rather than read, in its own byte order; not empty.

    ``kinds`` and refusals are those of ``load_array``.
    """
    array = _map_npy(path)
    letters = "".join(_KINDS[kind] for kind in kinds)
    if array.dtype.kind not in letters:
        raise UserError(f"{path} must hold {' or '.join(kinds)} values, not {array.dtype}")
    if array.size == 0:
        raise UserError(f"{path} is empty: its shape is {array.shape}")
    return array


def check_row_axis(path: Path, array: NDArray[Any]) -> None:
    """UserError where the array of ``path`` has no axis that could be the row."""
    if array.ndim == 0:
        raise UserError(f"{path} holds a single value; its last axis must be the row")


def check_values(path: Path, array: NDArray[Any], legal: NDArray[np.bool_], wanted: str) -> None:
    """UserError where a value is not ``legal``: names the first, its place, and what is wanted."""
    if not legal.all():
        first = np.unravel_index(int(np.argmin(legal)), array.shape)
        place = ", ".join(str(int(i)) for i in first)
        raise UserError(f"{path} holds {array[first]} at [{place}]; all values must be {wanted}")


def load_tables(path: Path) -> TableFile:
    """The file of tables at ``path``; UserError where there is none."""
    try:
        with user_errors():
            return TableFile.load(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _map_npy(path: Path) -> NDArray[Any]:
    magic = np.lib.format.MAGIC_PREFIX
    try:
        with path.open("rb") as file:
            if file.read(len(magic)) != magic:
                raise UserError(f"{path} is not a .npy file")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (EOFError, MemoryError, ValueError) as error:
        if "object" in str(error).lower():
            raise UserError(f"{path} must hold numbers, not Python objects") from error
        raise UserError(f"{path} is damaged: not a whole .npy file") from error


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    if len(shape) > len(target):
        return False
    tail = target[len(target) - len(shape) :]
    return all(have in (1, want) for have, want in zip(shape, tail, strict=True))
