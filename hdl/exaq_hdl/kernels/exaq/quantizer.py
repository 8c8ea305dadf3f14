"""From logits to codes."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.kernels.exaq.tables.row_thresholds import reached_layout
from exaq_hdl.shell.beats import code_beat, of_row, row_beat, row_tables


def reaches(low, negative, threshold: int):
    """Whether a difference <= 0 is at or above a constant ``threshold`` <= 0.

    The difference, at least -2**len(low), comes as its low bits and its sign; so does the
    threshold. Written as one gate a bit, from the lowest up: a constant leaves so little of a
    comparison that logic beats a carry chain.
    """
    result = Const(1)
    for k, bit in enumerate(low):
        result = bit & result if threshold >> k & 1 else bit | result
    return ~negative | result if threshold else ~negative


class Quantizer(wiring.Component):
    """Code of each element: how many thresholds its distance from the row's maximum reaches.

    Latency 2 cycles; throughput 1 beat per cycle. A beat of a row is taken when the row's
    maximum is there and ``room`` was high a cycle ago; then nothing stalls it any more. Exact:
    equal to the authors' quantizer for every logit (docs/numerics.md). Lanes that are not live
    get code 0. With contexts, logits are compared with the row's own thresholds; without, their
    distance from the maximum with constants.

    Members
    -------
    i : stream of row_beat
    maximum : without contexts: stream of logit_width bits, taken with the row's last beat
    reached : with contexts: stream of reached_layout and row_tables, taken likewise
    room : whether those behind can take another beat
    o : stream of code_beat, always ready
    """

    latency = 2
    #: Cycles from a look at ``room`` to the beat on ``o`` that follows from it.
    reaction = 3

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        if config.contexts:
            item = of_row(config, "reached", reached_layout(config))
            of_each_row = {"reached": In(stream.Signature(item))}
        else:
            of_each_row = {"maximum": In(stream.Signature(config.logit_width))}
        super().__init__(
            {"i": In(stream.Signature(row_beat(config)))}
            | of_each_row
            | {
                "room": In(1),
                "o": Out(stream.Signature(code_beat(config), always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        row = self.reached if config.contexts else self.maximum
        room, ready, valid = Signal(), Signal(), Signal()
        m.d.comb += [
            ready.eq(row.valid & room),
            self.i.ready.eq(ready),
            row.ready.eq(self.i.valid & room & self.i.payload.last),
        ]
        m.d.sync += [
            room.eq(self.room),
            valid.eq(self.i.valid & ready),
            self.o.valid.eq(valid),
        ]

        out = Signal(code_beat(config), reset_less=True)
        m.d.comb += self.o.payload.eq(out)
        flags = {name: self.i.payload[name] for name, _ in row_beat(config) if name != "logits"}
        flags |= {name: row.payload[name] for name in row_tables(config)}
        held = {
            name: Signal.like(flag, name=f"held_{name}", reset_less=True)
            for name, flag in flags.items()
        }
        for name, flag in flags.items():
            m.d.sync += [
                held[name].eq(flag),
                out[name].eq(held[name]),
            ]
        live = held["live" if config.masking else "tail"]
        if config.contexts:
            self._compare_with_row(m, live, out.codes)
        else:
            self._compare_with_constants(m, live, out.codes)
        return m

    def _compare_with_row(self, m, live, codes):
        reached = self.reached.payload.reached
        for lane in range(self.config.lanes):
            hits = Signal(self.config.levels - 1, name=f"lane{lane}_hits", reset_less=True)
            logit = self.i.payload.logits[lane]
            m.d.sync += [
                hits.eq(Cat(logit >= reached[k] for k in range(len(hits)))),
                codes[lane].eq(Mux(live[lane], count(hits), 0)),
            ]

    def _compare_with_constants(self, m, live, codes):
        config = self.config
        # Differences below -2**near get code 0 by the synchronous reset of the code registers,
        # as do lanes that are not live; the comparisons see `near` bits and a sign.
        lowest = -(2**config.logit_width)
        thresholds = [max(threshold, lowest) for threshold in config.tables.thresholds]
        near = (-thresholds[0] - 1).bit_length() if thresholds[0] else 0

        for lane in range(config.lanes):
            difference = Signal(
                config.logit_width + 1, name=f"lane{lane}_difference", reset_less=True
            )
            m.d.sync += difference.eq(self.i.payload.logits[lane] - self.maximum.payload)
            low, high, negative = difference[:near], difference[near:-1], difference[-1]
            far = negative & ~high.all() if len(high) else Const(0)
            reached = [reaches(low, negative, threshold) for threshold in thresholds]
            m.d.sync += codes[lane].eq(Mux(live[lane] & ~far, count(reached), 0))


def count(reached):
    """Number of ones in a thermometer of 2**n - 1 bits: a binary search, a multiplexer a bit."""
    middle = len(reached) // 2
    if not middle:
        return reached[0]
    below, above = count(reached[:middle]), count(reached[middle + 1 :])
    return Cat(Mux(reached[middle], above, below), reached[middle])
