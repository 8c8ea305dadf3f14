"""Codes as what leaves the unit."""

from amaranth.hdl import Const, Module
from amaranth.lib import stream

from exaq import Exaq
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.shell.ports import layout
from exaq_hdl.shell.streams import code_fields, live_lanes


class CodeOutput:
    """Gives codes as they leave the quantizer, whose last register is the unit's; stores nothing.

    In the place of ``Output``, with the same members: no element waits for a table, so nothing
    stands before the normalisation or behind it.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    """

    whole_row = False
    hold = 0

    def __init__(self, kernel: Exaq):
        self._kernel = kernel
        fields = code_fields(kernel.format, kernel.bits)
        self.room = Const(1)
        self.o: Stream = stream.Signature(layout(fields)).create(path=("codes",))
        self.tables: Stream | None = None
        self.blocks_before: dict[str, Component] = {}
        self.blocks_behind: dict[str, Component] = {}

    def connect(self, m: Module, codes: Stream) -> None:
        """Give ``codes``, of code_beat."""
        m.d.comb += [
            self.o.valid.eq(codes.valid),
            codes.ready.eq(self.o.ready),
            self.o.payload.live.eq(live_lanes(self._kernel.format, codes.payload)),
        ]
        for name, _ in self.o.payload.shape():
            if name != "live":
                m.d.comb += self.o.payload[name].eq(codes.payload[name])
