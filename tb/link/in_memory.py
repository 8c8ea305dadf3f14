"""A way to a device of ``fake_board`` without a port: octets are handed over in memory."""

from __future__ import annotations

import time

from fake_board import Device


class InMemory:
    """A transport to ``device``, which need not be entered: it answers in the caller's thread.

    Members
    -------
    closed
        How often it was closed.
    """

    name = "a device in memory"
    settings = ""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._come = b""
        self.closed = 0

    def exchange(self, pending: bytearray, seconds: float) -> bytes:
        self._come += self._device.answers(bytes(pending))
        pending.clear()
        if not self._come:
            time.sleep(seconds)
        come, self._come = self._come, b""
        return come

    def seconds(self, octets: int) -> float:
        return 0.0

    def discard(self) -> None:
        self._come = b""

    def close(self) -> None:
        self.closed += 1
