"""The arrays that commands stream: logits, and what goes with each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig
from exaq_cli.errors import UserError, user_errors
from exaq_cli.files import check_values, load_array

R = TypeVar("R")

_FILE = click.Path(path_type=Path)


def logits_argument(command: Callable[..., R]) -> Callable[..., R]:
    """Give a click command the argument ``logits``, a path for ``RowInput.load``."""
    return click.argument("logits", metavar="LOGITS.npy", type=_FILE)(command)


def row_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a click command the options ``lengths``, ``mask`` and ``contexts_of``: paths for
    ``RowInput.load``.
    """
    parts = (
        click.option(
            "--lengths",
            metavar="FILE.npy",
            type=_FILE,
            help="Elements of each row, 1 to row: integers in the logits' shape without its last "
            "axis.",
        ),
        click.option(
            "--mask",
            metavar="FILE.npy",
            type=_FILE,
            help="Elements that take part: booleans, True = live, that broadcast to the logits' "
            "shape.",
        ),
        click.option(
            "--contexts-of",
            metavar="FILE.npy",
            type=_FILE,
            help="Context of each row, for a unit with contexts: integers from 0 that broadcast "
            "to the logits' shape without its last axis.",
        ),
    )
    for part in reversed(parts):
        command = part(command)
    return command


def window_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a click command the options ``windows`` and ``causal`` for ``RowInput.load``."""
    path = click.option(
        "--windows",
        metavar="FILE.npy",
        type=_FILE,
        help="Window of each row: integers start and stop, 0 to row, in a last axis of 2, that "
        "broadcast to the logits' shape with 2 for the row. Elements outside are masked; all are "
        "where start is not below stop.",
    )
    causal = click.option(
        "--causal",
        is_flag=True,
        help="Rows are queries, of logits (..., queries, keys): query i sees the keys up to "
        "i + keys - queries. For as many queries as keys these are the masks of PyTorch's "
        "is_causal; else, as in a decoder with a cache, the last query sees all keys.",
    )
    return path(causal(command))


@dataclass(frozen=True)
class RowInput:
    """Logits of shape (..., row), and what is given of lengths, mask, contexts and windows."""

    logits: NDArray[Any]
    lengths: NDArray[Any] | None
    mask: NDArray[Any] | None
    contexts: NDArray[Any] | None
    window: tuple[NDArray[Any], NDArray[Any]] | None

    @classmethod
    def load(
        cls,
        logits: Path,
        lengths: Path | None,
        mask: Path | None,
        contexts: Path | None,
        windows: Path | None = None,
        *,
        causal: bool = False,
    ) -> RowInput:
        """What the files hold; UserError where one does not fit."""
        array = load_array(logits, "integer", "float", finite=False)
        rows = array.shape[:-1]
        given = cls(
            logits=array,
            lengths=None if lengths is None else load_array(lengths, "integer", fits=rows),
            mask=None if mask is None else load_array(mask, "boolean", fits=array.shape),
            contexts=None if contexts is None else load_array(contexts, "integer", fits=rows),
            window=_window(windows, causal, logits, array.shape),
        )
        if array.dtype.kind == "f":
            legal = np.isfinite(array) | np.isneginf(array)
            for taken in (given.mask, given._within()):
                legal |= False if taken is None else ~taken
            check_values(logits, array, legal, "finite, or -inf where masked")
        return given

    def _within(self) -> NDArray[np.bool_] | None:
        """Elements inside the rows' lengths and windows, which broadcast to the logits' shape;
        None: no element is outside.
        """
        place = np.arange(self.logits.shape[-1])
        parts = []
        if self.lengths is not None:
            parts.append(place < self.lengths[..., None])
        if self.window is not None:
            start, stop = (edge[..., None] for edge in self.window)
            parts.append((start <= place) & (place < stop))
        return np.logical_and.reduce(np.broadcast_arrays(*parts)) if parts else None

    def rounded(self, config: SoftmaxConfig) -> RowInput:
        """The same with logits as a unit of ``config`` takes them: integers, or numbers of its
        floating-point format. Those of a floating-point type are rounded.

        What is masked among these, by -inf or a finite number, goes into the mask; where the unit's
        logits are floating-point numbers it becomes -inf. Lengths and windows say what takes part
        as a mask does, and what stands outside is not looked at.
        """
        if self.logits.dtype.kind != "f":
            return self
        within, explicit = self._within(), self.mask
        if within is not None:
            explicit = within if explicit is None else explicit & within
        with user_errors():
            live = exaq.live_scores(self.logits, explicit)
            if config.float_format is not None:
                return replace(self, logits=exaq.round_logits(self.logits, config, live))
            integers = exaq.logits_to_integers(self.logits, config, live)
        taken = live if within is None else live | ~within
        mask = self.mask if self.mask is None and taken.all() else taken
        return replace(self, logits=integers, mask=mask)


def _window(
    windows: Path | None, causal: bool, logits: Path, shape: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Starts and stops for rows of ``shape``."""
    if windows is not None and causal:
        raise UserError("give --windows or --causal, not both")
    if causal:
        if len(shape) < 2:
            raise UserError(
                f"--causal needs logits of shape (..., queries, keys), but {logits} has {shape}"
            )
        return exaq.causal_windows(*shape[-2:])
    if windows is None:
        return None
    edges = load_array(windows, "integer", fits=(*shape[:-1], 2))
    if edges.shape[-1] != 2:
        raise UserError(
            f"{windows} must have a last axis of 2, start and stop, but has the shape {edges.shape}"
        )
    return edges[..., 0], edges[..., 1]
