"""Messages to and from a board one by one, without the care of a session."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Self

from exaq_fpga.link.errors import LinkError
from exaq_fpga.link.frames import FrameDecoder
from exaq_fpga.link.transports.transport import Transport


class Wire:
    """The way to a board, which it closes in the end; a context manager.

    Parameters
    ----------
    patience
        Seconds of silence after which the board is given up.
    most
        Octets that may come in an exchange: a broken board may send for ever.
    """

    def __init__(self, transport: Transport, *, patience: float, most: int) -> None:
        self._transport = transport
        self._patience = patience
        self._most = most
        self._decoder = FrameDecoder()
        self._received: deque[bytes] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def exchange(self, octets: Iterable[bytes], until: Callable[[bytes], bool]) -> list[bytes]:
        """Send ``octets``; the messages that come, up to the one of which ``until`` is true.

        Raises
        ------
        LinkError
            The board falls silent before, or sends too much.
        """
        pending = bytearray(b"".join(octets))
        messages: list[bytes] = []
        count = 0
        while True:
            while self._received:
                messages.append(self._received.popleft())
                if until(messages[-1]):
                    return messages
            waiting = not pending
            received = self._transport.exchange(pending, self._patience)
            if waiting and not received:
                raise LinkError(f"the board falls silent after {len(messages)} messages")
            count += len(received)
            if count > self._most:
                raise LinkError(f"the board sends on after {self._most} octets")
            self._received += self._decoder.feed(received)
