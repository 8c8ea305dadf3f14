"""Checks tables that are loaded, and makes LUT_sum from their exponentials."""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Member, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_loaded
from exaq_hdl.kernels.exaq.tables.words import (
    checked_word,
    excess_word,
    exponential_word,
    last_of_load,
    place_after,
    place_in_load,
    sum_word,
    threshold_width,
    threshold_word,
)
from exaq_hdl.parts.arithmetic import ones
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.loads import LOAD_WORD, refusal


class TableLoader(Component):
    """Takes tables word by word, writes them into the spare bank, fills its LUT_sum, commits.

    A load is ``Exaq.load_words``: the context number, marked ``first``; 2**bits - 1 thresholds;
    2**bits exponentials; and the sink, where rows have any. A bad one is refused with its
    reasons when its last word is taken, or where a word is missing or too many; then nothing
    has changed. A word marked ``first`` always begins a load.

    Throughput a word in 2 cycles; then lanes + 1 cycles for the multiples of E_0, 2**bits cycles
    to begin, 1 cycle for each of LUT_sum's 2**(bits * group) entries, and 3 to the commit.

    Members
    -------
    i : stream of LOAD_WORD; not taken while booting
    boot : stream of checked_word; taken while booting
    booting : the contexts get their first tables
    spare, free : bank to load, and whether no row uses it; ``i`` waits for that
    target : context that is loaded
    commit : pulse: the spare bank is complete
    refused : ``refusal`` of the format, for one cycle
    idle : no load has begun
    thresholds, exponentials, excesses, sums : streams of threshold_word, exponential_word,
        excess_word and sum_word, out, always ready; the sink is among the thresholds
    """

    def __init__(self, kernel: Exaq):
        self.kernel = check_loaded(kernel)
        #: Cycles from a good load's last word to its commit.
        self.latency = self.latency_of(kernel)

        def words(layout: Any) -> Member:
            return Out(stream.Signature(layout(kernel), always_ready=True))

        super().__init__(
            {
                "i": In(stream.Signature(LOAD_WORD)),
                "boot": In(stream.Signature(checked_word(kernel))),
                "booting": In(1),
                "spare": In(kernel.bank_bits),
                "free": In(1),
                "target": Out(max(kernel.format.context_bits, 1)),
                "commit": Out(1),
                "refused": Out(refusal(kernel.format)),
                "idle": Out(1),
                "thresholds": words(threshold_word),
                "exponentials": words(exponential_word),
                "excesses": words(excess_word),
                "sums": words(sum_word),
            }
        )

    @staticmethod
    def latency_of(kernel: Exaq) -> int:
        """``latency`` of a unit with ``kernel``."""
        return kernel.format.lanes + 1 + kernel.levels + 2 ** (kernel.bits * kernel.group) + 5

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._take_words(m)
        self._fill(m)
        return m

    def _take_words(self, m: Module) -> None:
        kernel = self.kernel
        # A word is cut and registered first, then looked at.
        layout = checked_word(kernel)
        cut: Any = Signal(layout, reset_less=True)
        accept = Signal()
        self._filling = filling = Signal()
        self._start = start = Signal()
        given = self.i.payload
        room = Signal()
        # The last word has been looked at: the load is made, or refused.
        judge = Signal()
        m.d.comb += [
            room.eq(~filling & self.free & ~accept & ~judge),
            self.i.ready.eq(room & ~self.booting),
            self.boot.ready.eq(room & self.booting),
        ]
        m.d.sync += accept.eq(room & Mux(self.booting, self.boot.valid, self.i.valid))
        with m.If(self.booting):
            m.d.sync += cut.eq(self.boot.payload)
        with m.Else():
            m.d.sync += [
                cut.first.eq(given.first),
                cut.word.eq(given.word),
                cut.fits.eq(given.word == given.word[: layout["word"].width].as_signed()),
            ]
        word, first = cut.word, cut.first

        # Place of the next word in its load. The upper half of its first 2 * 2**bits words are
        # exponentials; a sink behind them goes where a threshold of code 0 would.
        place = Signal(place_in_load(kernel))
        here = Signal.like(place)
        code, is_exponential = here[: kernel.bits], here[kernel.bits]
        last = last_of_load(kernel, here)
        is_threshold = ~first & ~is_exponential
        is_highest = last
        if kernel.sinks:
            is_threshold, is_highest = is_threshold & ~last, code.all()
        begun = Signal()
        m.d.comb += [
            begun.eq(place != 0),
            self.idle.eq(~filling & ~begun & ~accept & ~judge),
            here.eq(Mux(first, 0, place)),
        ]

        # A threshold is between the one before, or the lowest, and 0; for that its upper bits
        # repeat its sign.
        width = threshold_width(kernel)
        threshold = word[:width].as_signed()
        before = Signal.like(threshold)
        threshold_fits = cut.fits & (word == threshold) & ((threshold == 0) | threshold[-1])
        if kernel.format.float_format is not None:
            # Nor is it between a negative power of two and 0.
            small = (-kernel.format.float_format.least_threshold).bit_length() - 1
            threshold_fits &= ~threshold[small:].all() | ~threshold[:small].any()
        reasons = refusal(kernel.format)
        wrong: Any = Signal(reasons)
        faults: Any = Signal(reasons)
        exponential_is_highest = Signal()
        exponential_fits = cut.fits & ~word[kernel.exp_bits :].any()
        m.d.comb += [
            wrong.context.eq(first & (~cut.fits | (word.as_unsigned() >= kernel.format.contexts))),
            wrong.thresholds.eq(is_threshold & (~threshold_fits | (threshold < before))),
            wrong.exponentials.eq(
                is_exponential
                & (~exponential_fits | (is_highest & ((word == 0) | ~exponential_is_highest)))
            ),
            start.eq(judge & ~Value.cast(faults).any()),
        ]
        if kernel.format.row_results == "table":
            # No exponential above the highest code's: else a row's table could have E_k > S.
            greatest = Signal(kernel.exp_bits, reset_less=True)
            exponential = word[: kernel.exp_bits]
            m.d.comb += exponential_is_highest.eq(exponential >= greatest)
            with m.If(accept & (first | (is_exponential & exponential_is_highest))):
                m.d.sync += greatest.eq(Mux(first, 0, exponential))
        else:
            m.d.comb += exponential_is_highest.eq(1)
        if kernel.sinks:
            least, most = kernel.format.sink_range
            m.d.comb += wrong.sink.eq(last & (~cut.fits | (word < least) | (word > most)))
        m.d.sync += [
            judge.eq(accept & last),
            Value.cast(self.refused).eq(Mux(judge, Value.cast(faults), 0)),
        ]
        with m.If(accept):
            m.d.sync += [
                place.eq(place_after(kernel, here)),
                Value.cast(faults).eq(Mux(first, 0, Value.cast(faults)) | Value.cast(wrong)),
                before.eq(Mux(first, -(1 << (width - 1)), threshold)),
            ]
            with m.If(first):
                m.d.sync += self.target.eq(word)
            with m.If(first == begun):
                m.d.sync += self.refused.length.eq(1)
                with m.If(~first):
                    m.d.sync += place.eq(0)

        m.d.comb += [
            self.thresholds.valid.eq(accept & ~first & begun & ~is_exponential),
            self.thresholds.payload.bank.eq(self.spare),
            self.thresholds.payload.code.eq(code),
            self.thresholds.payload.threshold.eq(threshold),
            self.exponentials.valid.eq(accept & is_exponential),
            self.exponentials.payload.bank.eq(self.spare),
            self.exponentials.payload.code.eq(code),
            self.exponentials.payload.exponential.eq(word),
        ]

    def _fill(self, m: Module) -> None:
        # The exponentials stand in a ring, and pass its end in the order of the codes. While
        # they pass once, the entries get filled whose first lane has each code and whose other
        # lanes' codes are `outer`: `base`, the sum of those, was added up while they passed the
        # last time, each as often as `ahead`, the outer codes to come, has its code.
        kernel = self.kernel
        filling, start = self._filling, self._start
        bits, outer_bits = kernel.bits, kernel.bits * (kernel.group - 1)
        word = self.exponentials.payload.exponential

        turn = Signal()
        ring = [
            Signal(kernel.exp_bits, name=f"ring{k}", reset_less=True) for k in range(kernel.levels)
        ]
        with m.If(self.exponentials.valid | turn):
            m.d.sync += [a.eq(b) for a, b in pairwise(ring)]
            m.d.sync += ring[-1].eq(Mux(turn, ring[0], word))
        tail = ring[0]

        excess = self.excesses.payload.excess
        total_bits = max(kernel.group_sum_bits, len(excess))
        added = Signal(total_bits)
        more = Signal(total_bits)
        times = Signal(range(max(kernel.group, 2)))
        product: Value = Const(0)
        for k, bit in enumerate(times):
            product = product + ((tail & bit.replicate(len(tail))) << k)
        m.d.comb += more.eq(added + product)

        # First phase: 0, E_0, 2 * E_0, ... The ring stands still.
        multiples = Signal()
        number = Signal(range(kernel.format.lanes + 1))
        last_multiple = number == kernel.format.lanes
        # Second phase, a cycle behind its counters.
        counting, code = Signal(), Signal(bits)
        ahead = Signal(max(outer_bits, 1))
        outer = Signal.like(ahead)
        first_pass, adding = Signal(), Signal()
        code_late, pass_end = Signal(bits), Signal()
        base = Signal(kernel.group_sum_bits)
        m.d.comb += [
            self.excesses.valid.eq(multiples),
            self.excesses.payload.bank.eq(self.spare),
            self.excesses.payload.lanes.eq(number),
            self.excesses.payload.excess.eq(added),
            turn.eq(adding),
            pass_end.eq(adding & code_late.all()),
        ]
        with m.If(start):
            m.d.sync += [filling.eq(1), multiples.eq(1), number.eq(0), added.eq(0), times.eq(1)]
        with m.If(multiples):
            m.d.sync += [number.eq(number + 1), added.eq(more)]
            with m.If(last_multiple):
                m.d.sync += [multiples.eq(0), counting.eq(1), code.eq(0), ahead.eq(0), added.eq(0)]
        with m.If(counting):
            same = Cat(ahead.word_select(j, bits) == code for j in range(kernel.group - 1))
            m.d.sync += [code.eq(code + 1), times.eq(ones(same) if kernel.group > 1 else 0)]
            with m.If(code.all()):
                m.d.sync += ahead.eq(ahead + 1)
        m.d.sync += [adding.eq(counting), code_late.eq(code)]
        with m.If(counting & ~adding):
            m.d.sync += first_pass.eq(1)

        last = Signal()
        written = Signal()
        m.d.comb += last.eq(pass_end & ~first_pass & (outer.all() if outer_bits else Const(1)))
        with m.If(adding):
            m.d.sync += added.eq(more)
        with m.If(pass_end):
            m.d.sync += [base.eq(more), added.eq(0), first_pass.eq(0)]
            m.d.sync += outer.eq(Mux(first_pass, 0, outer + 1))
        with m.If(last):
            m.d.sync += [counting.eq(0), adding.eq(0)]
        sums = self.sums.payload
        codes = Cat(code_late, outer) if outer_bits else code_late
        m.d.sync += [
            self.sums.valid.eq(adding & ~first_pass),
            sums.bank.eq(self.spare),
            sums.codes.eq(codes),
            sums.total.eq(base + tail),
            written.eq(last),
            self.commit.eq(written),
        ]
        with m.If(self.commit):
            m.d.sync += filling.eq(0)
