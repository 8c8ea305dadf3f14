"""A board of a softmax unit at the other end of a transport, from Python."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exaq import RowResults, SoftmaxConfig, Tables
from exaq.rows import Rows
from exaq_fpga.link.connected_board import ConnectedBoard
from exaq_fpga.link.errors import LinkError, RefusedError, UnknownTablesError
from exaq_fpga.link.protocol import LOAD_WORD, RESERVE, RowsStatus, Type, answer_octets
from exaq_fpga.link.row_messages import STATUS, RowPacker, RowRange
from exaq_fpga.link.session import Request

# Messages that share the board's receive buffer, and answers that share the host's window.
_SHARE = 4
# What the status of LOAD_TABLES says, from its lowest bit.
_REFUSALS = ("their number", "the context", "the thresholds", "the exponentials", "the sink")


@dataclass(frozen=True, kw_only=True)
class StreamedRows:
    """What a board gave for rows.

    Members
    -------
    elements
        Shape of the logits: probabilities of the type of ``exaq.softmax``, or codes, uint8; 0
        where masked or absent.
    results
        Row results in the logits' shape without its last axis; None where the unit gives none.
    """

    elements: NDArray[Any]
    results: RowResults | None


class Board(ConnectedBoard):
    """A board of a softmax unit that is connected: it was found, and has told what it is.

    ``Board("/dev/ttyUSB1")`` is short for ``Board(SerialPort("/dev/ttyUSB1"))``: a board at a
    serial port of 1 Mbaud. ``Board(SerialPort("/dev/ttyUSB1", baud=115_200))`` is one at another
    rate; ``Board("udp:192.168.1.50")`` is one that is linked by UDP. Any other ``Transport`` does
    as well.

    Use it as a context manager, or call ``close``. After a LinkError it is closed. After an
    interrupt (Ctrl-C) it can be used on, and so can the board by the next program.

    Parameters
    ----------
    transport
        The way to the board, which the board takes over: it closes it in the end, also where no
        board is found. A text is a board's address, as of ``UdpSocket``, or a serial port: a
        device such as ``/dev/ttyUSB1``, a pseudo-terminal, or a URL of pyserial.
    timeout
        Seconds of silence after which the board is asked what it has received.
    retries
        How often in turn it is asked in vain before the link is given up.
    window
        Octets of answers that may be under way: what the transport can hold while the host is
        busy. None: 16384, or as many as three of the board's longest answers have. That many keep
        the line busy; Linux holds 65536 octets of a serial port.

    Members
    -------
    identity
        What the board says of itself: its name, its configuration, its clock.
    link
        What was sent, lost and sent again since the board was identified.

    Raises
    ------
    TypeError, ValueError
        A parameter is not as described.
    PortError
        The serial port cannot be opened: there is none, it may not be, or it is in use.
    ConnectError
        No board is there that this version can talk to.
    """

    kind = SoftmaxConfig

    def _begin(self) -> None:
        self._config: SoftmaxConfig = self.identity.config  # type: ignore[assignment]
        self._loads = self.status()["loads"]
        # Contexts whose tables are known; the rest were loaded by somebody else.
        self._known = set() if self._loads else set(range(self._config.contexts))

    def _longest_answer(self) -> int:
        config = self.identity.config
        assert isinstance(config, SoftmaxConfig)
        return answer_octets(config, config.max_row) + STATUS

    @property
    def config(self) -> SoftmaxConfig:
        """The unit's configuration, with the tables that were loaded into its contexts."""
        return self._config

    def load_tables(self, context: int, tables: Tables) -> None:
        """Load ``tables`` into a context, for all rows from now on.

        Raises
        ------
        TypeError, ValueError
            As ``SoftmaxConfig.load_words``.
        RefusedError
            The board refuses the tables.
        LinkError
            The link is lost; nobody knows then what the context holds.
        """
        words = self._config.load_words(context, tables)
        each = list(self._config.context_tables)
        each[context] = tables
        loaded = self._config.replace(context_tables=tuple(each))
        body = struct.pack(f"<{len(words)}i", *words)
        self._known.discard(context)
        (status,) = self._ask(Request(Type.LOAD_TABLES, body, answer=1))
        if status:
            reasons = [name for bit, name in enumerate(_REFUSALS) if status >> bit & 1]
            raise RefusedError(
                f"the board refuses tables of {len(body) // LOAD_WORD} words for context "
                f"{context}: it objects to {' and '.join(reasons) or f'status {status}'}"
            )
        self._loads = self.status()["loads"]
        self._config = loaded
        self._known.add(context)

    def softmax(
        self,
        logits: ArrayLike,
        *,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        contexts: ArrayLike | None = None,
        window: tuple[ArrayLike, ArrayLike] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[Any]:
        """Probabilities of rows, computed by the board.

        Parameters
        ----------
        logits
            Integers within ``config.logit_range``, shape (..., row).
        mask
            Booleans that broadcast to the logits' shape, True = live. A unit without masking
            takes only masks that cut off the ends of rows, and gets such rows shorter.
        lengths
            Integers that broadcast to the leading shape: elements of each row, 1 to row; the
            others are not sent. None: all.
        contexts
            With ``config.contexts``: integers that broadcast to the leading shape, the context
            of each row. None: context 0.
        window
            Starts and stops, as of ``exaq.softmax``.
        progress
            Called with (rows done, rows) after each answer.

        Returns
        -------
        NDArray
            Shape of the logits, the type of ``exaq.softmax``; 0 where masked or absent.

        Raises
        ------
        TypeError, ValueError
            An argument is not as described, or the unit gives codes.
        UnknownTablesError
            Rows name a context that another program has loaded tables into: ``load_tables`` it
            first, or reset the board.
        RefusedError
            The board refuses rows or flags one.
        LinkError
            The link is lost.
        """
        if self._config.output != "probabilities":
            raise ValueError(f"the board gives {self._config.output}: ask for them by stream")
        return self.stream(
            logits,
            mask=mask,
            lengths=lengths,
            contexts=contexts,
            window=window,
            progress=progress,
        ).elements

    def stream(
        self,
        logits: ArrayLike,
        *,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        contexts: ArrayLike | None = None,
        window: tuple[ArrayLike, ArrayLike] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> StreamedRows:
        """All that the board gives for rows: probabilities or codes, and row results.

        Parameters and errors as of ``softmax``, for a unit that gives codes too.
        """
        rows = Rows.of(
            logits,
            self._config.format,
            mask=mask,
            lengths=lengths,
            contexts=contexts,
            window=window,
        ).streamed(self._config.format)
        if rows.contexts is not None:
            unknown = set(np.unique(rows.contexts).tolist()) - self._known
            if unknown:
                raise UnknownTablesError(
                    f"another program has loaded tables into the board, so those of context "
                    f"{min(unknown)} are unknown: load them anew, or reset the board"
                )
        packer = RowPacker(rows, self._config)
        room, share = self._session.buffer - RESERVE, self._session.window
        ranges = packer.ranges(room // _SHARE, share // _SHARE)
        requests = (_RowsRequest(packer, chosen) for chosen in ranges)
        done = 0
        with closing(self._run(requests)) as answers:
            for request, body in answers:
                wrong = rows.errors is not None and rows.errors[request.rows.of_array].any()
                _check(RowsStatus(body[-1]), request.rows, error=bool(wrong))
                packer.unpack(request.rows, body)
                done += len(request.rows)
                if progress is not None:
                    progress(done, len(rows.lengths))
        if rows.contexts is not None and self.status()["loads"] != self._loads:
            self.close()
            raise LinkError("the board was reset in the meantime and has lost its tables")
        results = packer.results
        return StreamedRows(
            elements=packer.elements.reshape(rows.shape),
            results=None if results is None else results.reshape(*rows.shape[:-1]),
        )


class _RowsRequest(Request):
    """Rows that share a message; if it was lost twice, they go on in halves, which pass easier."""

    def __init__(self, packer: RowPacker, rows: RowRange) -> None:
        super().__init__(Type.ROWS, packer.pack(rows), answer=packer.answer_octets(rows))
        self.rows = rows
        self._packer = packer

    def again(self) -> Sequence[Request]:
        if self.lost < 2 or len(self.rows) == 1:
            return [self]
        halves = [_RowsRequest(self._packer, half) for half in self.rows.halves()]
        for half in halves:
            half.lost = 1
        return halves


def _check(status: RowsStatus, rows: RowRange, *, error: bool) -> None:
    """Refuse an answer that is not that of the rows asked for, of which one is an ``error``."""
    if status == (RowsStatus.ROW_ERROR if error else 0):
        return
    which = f"rows {rows.start} to {rows.stop - 1}"
    if status & RowsStatus.MALFORMED:
        raise RefusedError(f"the board calls the message of {which} malformed")
    if error:
        raise RefusedError(f"the board sees no error in {which}, one of which holds NaN or +inf")
    raise RefusedError(f"the board reports an error in {which} (status {int(status)})")
