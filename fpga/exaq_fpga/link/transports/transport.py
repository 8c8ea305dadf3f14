"""What a host needs of the way to a board, whatever it is made of."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Transport(Protocol):
    """Octets between this host and one board: what ``Session`` and ``Board`` work over.

    A transport may lose, damage or double octets; the session finds out and asks again. It must
    keep their order. ``SerialPort`` is one; another way to a board, such as USB or Ethernet, is
    another class with these members.

    Members
    -------
    name
        Where it leads, in words for messages: ``/dev/ttyUSB1 with 1000000 baud``.
    settings
        What has to be as the board was built for octets to be understood, in words for messages:
        ``baud rate``. Empty where there is no such thing.
    """

    @property
    def name(self) -> str:
        """Where it leads, in words for messages."""

    @property
    def settings(self) -> str:
        """What must be as the board was built, in words for messages; may be empty."""

    def exchange(self, pending: bytearray, seconds: float) -> bytes:
        """Send what can be sent of ``pending``, and take that away; return what came.

        Waits until there is anything to do, for ``seconds`` at most. What is returned may be
        empty and need not be all that came: the next call goes on there.

        Raises
        ------
        LinkError
            The way is gone.
        """

    def seconds(self, octets: int) -> float:
        """How long ``octets`` are on their way once ``exchange`` has taken them, at most.

        A board is not taken for silent while octets are still on their way to it.
        """

    def discard(self) -> None:
        """Drop what has come and has not been returned.

        Raises
        ------
        LinkError
            The way is gone.
        """

    def close(self) -> None:
        """Give the way back. What was not sent yet may be lost."""
