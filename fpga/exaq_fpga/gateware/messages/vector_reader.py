"""Turns the body of a KEYS_VALUES or QUERIES message into vectors."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq_fpga.gateware.octets import MESSAGES
from exaq_fpga.link.head_octets import (
    key_octets,
    pair_octets,
    query_octets,
)
from exaq_fpga.link.protocol import VECTOR_NUMBER, VECTORS_HEADER
from exaq_hdl.parts.component import Component

_OCTET = 8


class VectorReader(Component):
    """Takes vectors octet by octet, and gives each with its number in its head.

    Throughput: an octet a cycle, less the cycles in which a vector waits to be taken. What a
    message's end leaves of a vector is dropped. Back-pressure on ``o`` holds its payload, and
    stops ``i``.

    Parameters
    ----------
    config
        The head's parameters.

    Members
    -------
    i : MESSAGES: bodies, of one octet at least
    queries : in: the body is one of QUERIES; stays until ``ended``
    o : stream of vector_layout
    ended : pulse: the message has ended, and all its vectors have been taken
    malformed : with ``ended``: the message ended within a vector, or held none
    """

    def __init__(self, config: AttentionConfig):
        self.config = config
        super().__init__(
            {
                "i": In(MESSAGES),
                "queries": In(1),
                "o": Out(stream.Signature(vector_layout(config))),
                "ended": Out(1),
                "malformed": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # Octets are shifted in from the top, so that of a vector of any length the last one is
        # there: the vector is the highest part of what is held.
        m = Module()
        config = self.config
        sizes = pair_octets(config), query_octets(config)
        octet, message_ends = self.i.payload.data, self.i.payload.last
        held = Signal(_OCTET * max(sizes), reset_less=True)
        header = Signal(VECTORS_HEADER * _OCTET, reset_less=True)
        number, final = header[:VECTOR_NUMBER], header[VECTOR_NUMBER]
        place = Signal(range(max(*sizes, VECTORS_HEADER)))
        last_place = Signal()
        moved = Signal()
        m.d.comb += [
            last_place.eq(place == Mux(self.queries, sizes[1] - 1, sizes[0] - 1)),
            moved.eq(self.i.valid & self.i.ready),
            self.o.payload.number.eq(number),
        ]
        pair, query = (held[-_OCTET * size :] for size in sizes)
        payload = self.o.payload
        m.d.comb += [
            payload.key.eq(pair),
            payload.value.eq(pair[_OCTET * key_octets(config) :]),
            payload.query.eq(query),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), number.eq(number + 1)]

        with m.FSM(name="state"):
            with m.State("header"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(moved):
                    m.d.sync += [header.eq(Cat(header, octet) >> _OCTET), place.eq(place + 1)]
                    with m.If(place == VECTORS_HEADER - 1):
                        m.d.sync += place.eq(0)
                        m.next = "vector"
                    with m.If(message_ends):
                        m.d.sync += self.malformed.eq(1)
                        m.next = "ended"

            with m.State("vector"):
                m.d.comb += self.i.ready.eq(~self.o.valid)
                with m.If(moved):
                    m.d.sync += [
                        held.eq(Cat(held, octet) >> _OCTET),
                        place.eq(Mux(last_place, 0, place + 1)),
                        self.o.valid.eq(last_place),
                        payload.last.eq(message_ends & final),
                    ]
                    with m.If(message_ends):
                        m.d.sync += self.malformed.eq(~last_place)
                        m.next = "ended"

            with m.State("ended"), m.If(~self.o.valid):
                m.d.comb += self.ended.eq(1)
                m.d.sync += [place.eq(0), self.malformed.eq(0)]
                m.next = "header"
        return m


def vector_layout(config: AttentionConfig) -> data.StructLayout:
    """A key and its value, and a row of q: what the same octets are as the one and as the other.

    ``number`` is the vector's in its head; ``last``: the message says that its last vector is its
    head's last, and this is it.
    """
    return data.StructLayout(
        {
            "key": config.head_size * config.key_format.width,
            "value": config.head_size * config.value_width,
            "query": _OCTET * query_octets(config),
            "number": VECTOR_NUMBER,
            "last": 1,
        }
    )
