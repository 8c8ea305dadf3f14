"""Streams of LiteX that carry what a stream of AXI4 does."""

from collections.abc import Mapping

from litex.soc.interconnect.stream import Endpoint, EndpointDescription

_HANDSHAKE = ("valid", "ready", "last")
_PARAMS = ("id", "user")


def stream(widths: Mapping[str, int], name: str | None = None) -> Endpoint:
    """An Endpoint of the signals ``widths``, each called as in AXI4-Stream without its t.

    Id and user are parameters and the others payload, as in LiteX's AXIStreamInterface. What
    every Endpoint has, valid, ready and last, may be among them.
    """
    fields = [field for field in widths.items() if field[0] not in _HANDSHAKE]
    return Endpoint(
        EndpointDescription(
            [field for field in fields if field[0] not in _PARAMS],
            [field for field in fields if field[0] in _PARAMS],
        ),
        name=name,
    )
