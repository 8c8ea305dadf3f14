"""Boards that commands talk to, and what is told of a run on one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

from rich.console import Console

from exaq_cli.errors import BreakdownError, UserError
from exaq_fpga import BoardError, UnknownTablesError
from exaq_fpga.link.connected_board import ConnectedBoard
from exaq_fpga.link.session import LinkStatistics
from exaq_fpga.link.transports.named_port import open_port
from exaq_fpga.link.transports.serial_port import OCTET_BITS

B = TypeVar("B", bound=ConnectedBoard)


@contextmanager
def connected(kind: type[B], port: str, baud: int | None, console: Console) -> Iterator[B]:
    """A board of that kind; that there is none is the user's error, what befalls it later a
    failure.
    """
    try:
        with console.status(f"Looking for a board at {port} ..."):
            board = kind(open_port(port, baud=baud))
    except (BoardError, ValueError) as error:
        raise UserError(str(error)) from error
    with board:
        try:
            yield board
        except UnknownTablesError as error:
            raise UserError(f"{error} (--load with --tables loads them)") from error
        except BoardError as error:
            raise BreakdownError(str(error)) from error


def run_figures(
    board: ConnectedBoard, *, rows: int, payload: int, seconds: float, before: LinkStatistics
) -> dict[str, Any]:
    """What is told of every run: the board, the speed, and the link since ``before``.

    ``payload``: octets of what was asked for.
    """
    link = {name: value - getattr(before, name) for name, value in asdict(board.link).items()}
    identity = board.identity
    return {
        "board": identity.board,
        "version": identity.version,
        "clock": identity.clock,
        "baud": identity.baud,
        "rows": rows,
        "seconds": seconds,
        "rows_per_second": rows / seconds,
        "payload_octets": payload,
        "payload_octets_per_second": payload / seconds,
        "payload_share": payload / seconds / (identity.baud / OCTET_BITS),
        "link": link,
    }
