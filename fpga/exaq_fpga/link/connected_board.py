"""A board that is connected, whatever unit it holds: what ``Board`` and ``HeadBoard`` share."""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq.scalars import integer, real
from exaq_fpga.link.errors import (
    GarbageError,
    LinkError,
    NoAnswerError,
    OtherVersionError,
    RefusedError,
    WrongDeviceError,
)
from exaq_fpga.link.frames import frame_octets
from exaq_fpga.link.protocol import (
    COUNTERS,
    HEADER,
    MAGIC,
    OVERHEAD,
    RESERVE,
    VERSION,
    Identity,
    IdentityError,
    Type,
    longest_message,
)
from exaq_fpga.link.session import LinkStatistics, Request, Session
from exaq_fpga.link.transports.named_port import open_port
from exaq_fpga.link.transports.transport import Transport

R = TypeVar("R", bound=Request)

# Octets of answers that may be under way, and how many of the longest ones must be able to.
_WINDOW = 16384
_ANSWERS = 3
_COUNTERS = struct.Struct(f"<{len(COUNTERS)}I")
# What a board can hold, and who talks to it.
_UNITS: dict[type, tuple[str, str]] = {
    SoftmaxConfig: ("a softmax unit", "exaq_fpga.Board, or exaq stream --unit softmax,"),
    AttentionConfig: ("an attention head", "exaq_fpga.HeadBoard, or exaq stream --unit attention,"),
}


class ConnectedBoard:
    """A base for the boards of one kind of unit; parameters, members and errors as of ``Board``.

    A derived class says by ``kind`` what configuration its boards have, and how long an answer of
    theirs can be.
    """

    kind: ClassVar[type]
    identity: Identity

    def __init__(
        self,
        transport: Transport | str,
        *,
        timeout: float = 1.0,
        retries: int = 5,
        window: int | None = None,
    ) -> None:
        retries = integer("retries", retries, 1)
        window = None if window is None else integer("window", window, 1)
        timeout = float(real("timeout", timeout))
        if timeout <= 0:
            raise ValueError(f"timeout must be positive, not {timeout!r}")
        if isinstance(transport, str):
            transport = open_port(transport)
        if not isinstance(transport, Transport):
            raise TypeError(
                f"transport must be a Transport or the name of a port, not {transport!r}"
            )
        self._transport: Transport | None = transport
        try:
            transport.discard()
            self._session = Session(transport, timeout=timeout, retries=retries)
            self.identity = self._identify(transport)
            self._session.buffer = self.identity.buffer
            self._session.window = self._usual_window() if window is None else window
            self._session.statistics = LinkStatistics()
            self._begin()
        except BaseException:
            self.close()
            raise

    def _identify(self, transport: Transport) -> Identity:
        where, settings = f"at {transport.name}", transport.settings
        seen = self._session.statistics
        try:
            octets = self._session.ask(Request(Type.IDENTIFY, answer=None))
        except RefusedError as error:
            raise WrongDeviceError(f"{where}: {error}") from error
        except LinkError as error:
            if not seen.received:
                built_for = f" the {settings} it was built for," if settings else ""
                raise NoAnswerError(
                    f"nothing answers {where}: is it the board's port,{built_for} and has it been "
                    "programmed?"
                ) from error
            if seen.strange:
                raise WrongDeviceError(
                    f"what is {where} sends frames, but no answers: does it send back what it gets?"
                ) from error
            other = f"the board was built for another {settings}, or " if settings else ""
            raise GarbageError(
                f"{seen.received} octets came {where}, but no answer among them: {other}another "
                "device is there"
            ) from error
        try:
            identity = Identity.from_octets(octets)
        except IdentityError as error:
            ours = octets[: len(MAGIC) + 1] == MAGIC + bytes([VERSION])
            newer = octets[: len(MAGIC)] == MAGIC and not ours
            raise (OtherVersionError if newer else WrongDeviceError)(f"{where}: {error}") from error
        if not isinstance(identity.config, self.kind):
            there, who = _UNITS[type(identity.config)]
            raise WrongDeviceError(
                f"{where}: the board {identity.board} holds {there}, not {_UNITS[self.kind][0]}: "
                f"{who} talks to it"
            )
        least = longest_message(identity.config) + OVERHEAD + RESERVE
        if identity.buffer < least:
            raise WrongDeviceError(
                f"{where}: the board's receive buffer of {identity.buffer} octets is too small "
                f"for its longest row, which needs {least}"
            )
        return identity

    def _begin(self) -> None:
        """What a derived class does once the board is identified."""

    def _longest_answer(self) -> int:
        """Octets of the longest body of an answer."""
        raise NotImplementedError

    def _usual_window(self) -> int:
        """Octets that keep the line busy with any answers, and that serial ports can hold with
        most.
        """
        return max(_WINDOW, _ANSWERS * frame_octets(HEADER + self._longest_answer()))

    @property
    def link(self) -> LinkStatistics:
        """What was sent, lost and sent again since the board was identified."""
        return self._session.statistics

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the transport; the board is ready for the next program at once."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def status(self) -> dict[str, int]:
        """The board's counters, by the names of ``exaq_fpga.link.protocol.COUNTERS``."""
        body = self._ask(Request(Type.STATUS, answer=_COUNTERS.size))
        return dict(zip(COUNTERS, _COUNTERS.unpack(body), strict=True))

    def _ask(self, request: Request) -> bytes:
        ((_, body),) = self._run([request])
        return body

    def _run(self, requests: Iterable[R]) -> Generator[tuple[R, bytes], None, None]:
        if self._transport is None:
            raise LinkError("the board is closed")
        try:
            yield from self._session.run(requests)
        except LinkError:
            self.close()
            raise
