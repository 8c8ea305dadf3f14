"""A board's end of the link: frames in, frames out, and the unit between them."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.framing.frame_receiver import FrameReceiver
from exaq_fpga.gateware.framing.frame_sender import FrameSender
from exaq_fpga.gateware.messages.of_unit import responder_of
from exaq_fpga.gateware.octets import LINE, OCTETS
from exaq_fpga.link.protocol import UnitConfig, buffer_octets
from exaq_hdl.parts.assembly import add_named
from exaq_hdl.parts.component import Component


class Station(Component):
    """Answers the frames of a line by what ``unit`` makes of what is in them.

    The line is of any kind, but for its pace: it gives an octet in ``Station.line_cycles`` cycles
    at most. Octets that may come faster go through ``LinePacer``, which holds them back.

    The receive buffer holds ``exaq_fpga.link.protocol.buffer_octets``; a host that sends no more
    than fits loses nothing. Back-pressure on ``tx`` holds its payload, and leaves messages in
    the buffer.

    Parameters
    ----------
    config
        The unit's configuration.
    identity
        Body of the answer to IDENTIFY: ``Identity.to_octets()``.
    unit
        A component with the ports of ``exaq_hdl.shell.row_shell.Softmax``, or of
        ``exaq_hdl.attention.attention_head.AttentionHead``; becomes a submodule.
    line_cycles
        Fewest cycles from an octet of the line to the next, as its source promises; less than
        ``Station.line_cycles`` is a ValueError.

    Members
    -------
    rx : LINE, the octets that come
    line_error : pulse: the line has lost an octet
    tx : OCTETS, the octets to send
    active : an answer is under way
    """

    line_cycles = FrameReceiver.line_cycles

    def __init__(self, config: UnitConfig, identity: bytes, unit: Any, *, line_cycles: int):
        if line_cycles < self.line_cycles:
            raise ValueError(
                f"octets of the line must be at least {self.line_cycles} cycles apart, not "
                f"{line_cycles}; LinePacer holds faster ones back"
            )
        self.config = config
        self.unit = unit
        self.responder = responder_of(config, identity, unit)
        self.receiver = FrameReceiver(buffer_octets(config))
        self.sender = FrameSender()
        super().__init__(
            {
                "rx": In(LINE),
                "line_error": In(1),
                "tx": Out(OCTETS),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        receiver, responder, sender, unit = self.receiver, self.responder, self.sender, self.unit
        add_named(m, "receiver", receiver)
        add_named(m, "responder", responder)
        add_named(m, "sender", sender)
        add_named(m, "unit", unit)
        wiring.connect(m, wiring.flipped(self.rx), receiver.i)
        wiring.connect(m, receiver.o, responder.i)
        wiring.connect(m, responder.o, sender.i)
        wiring.connect(m, sender.o, wiring.flipped(self.tx))
        responder.connect_unit(m, unit)
        m.d.comb += [
            responder.taken.eq(receiver.taken),
            responder.damaged.eq(receiver.damaged),
            responder.overflow.eq(receiver.overflow),
            responder.line_error.eq(self.line_error),
            self.active.eq(responder.active),
        ]
        responder.connect_loads(m, unit, receiver.length)
        return m
