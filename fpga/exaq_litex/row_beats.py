"""Rows in words of memory as beats of a unit."""

from litex.gen import LiteXModule
from litex.soc.interconnect.stream import Converter, SyncFIFO
from migen import FSM, Cat, If, NextState, NextValue, Replicate, Signal

from exaq import SoftmaxConfig
from exaq_litex.row_layout import LENGTH, options
from exaq_litex.streams import stream


class RowBeats(LiteXModule):
    """Makes beats of words, and says beside them what the unit is to know of the row.

    Parameters
    ----------
    config
        The unit's.
    data_width
        Bits of a word.
    rows
        Rows that wait at most.

    Members
    -------
    rows : Endpoint of rows: ``length`` in elements, and the ``options`` that the unit has
    sink : Endpoint of words, with ``last`` at the last one of a row
    source : Endpoint of beats, as ExaqSoftmax.sink
    """

    def __init__(self, config: SoftmaxConfig, data_width: int, rows: int):
        format = config.format
        lanes, element_bytes = format.lanes, format.logit_bytes
        beat = 8 * element_bytes * lanes
        extra = [(name, width) for name, width, _ in options(config)]
        self.queue = SyncFIFO([("length", LENGTH), *extra], rows)
        self.converter = words = Converter(data_width, beat)
        self.rows, self.sink = self.queue.sink, words.sink
        row = self.queue.source
        window = [row.window_start, row.window_stop] if format.window else []
        masks = [Replicate(0, lanes)] if format.masking else []
        user = Cat(*masks, *window)
        widths = {"data": beat, "keep": element_bytes * lanes}
        if len(user):
            widths["user"] = len(user)
        if format.context_bits:
            widths["id"] = format.context_bits
        self.source = source = stream(widths)

        left = Signal(LENGTH)
        self.comb += [
            source.data.eq(words.source.data),
            source.last.eq(left <= lanes),
            source.keep.eq(
                Cat(Replicate(~source.last | (left > lane), element_bytes) for lane in range(lanes))
            ),
        ]
        if len(user):
            self.comb += source.user.eq(user)
        if format.context_bits:
            self.comb += source.id.eq(row.context)

        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act("IDLE", NextValue(left, row.length), If(row.valid, NextState("ROW")))
        fsm.act(
            "ROW",
            source.valid.eq(words.source.valid),
            words.source.ready.eq(source.ready),
            If(
                source.valid & source.ready,
                NextValue(left, left - lanes),
                If(
                    source.last,
                    row.ready.eq(1),
                    If(words.source.last, NextState("IDLE")).Else(NextState("REST")),
                ),
            ),
        )
        # A wide word may hold beats behind the row's last one.
        fsm.act(
            "REST",
            words.source.ready.eq(1),
            If(words.source.valid & words.source.last, NextState("IDLE")),
        )
