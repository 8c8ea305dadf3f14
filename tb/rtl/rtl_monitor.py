"""What looks at every cycle of the unit's ports: a scoreboard, and counts of what it saw."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NoReturn

from cocotb.triggers import RisingEdge
from rtl_bins import Hits, result_bins, row_bins
from rtl_counts import Counts, Event
from rtl_harness import LOADED
from rtl_registers import BusMonitor
from rtl_rows import Beat, Results, Row
from rtl_seen import Seen
from rtl_tables import Contexts

from exaq import SoftmaxConfig
from exaq_hdl.shell.register_map import COUNTERS, REGISTERS

#: Part of every random generator's seed.
SEED = 20240910
_LOAD_WORD = REGISTERS["LOAD_WORD"].offset
_COUNTERS = {each.offset: each.name for each in COUNTERS}


@dataclass
class Log:
    """When things happened, in clock cycles since the monitor started.

    ``taken`` and ``taken_last`` count beats that went in, ``held_back`` cycles in which one was
    offered in vain, ``given`` beats that left, ``row_shown`` cycles in which a row's first beat
    was offered, ``results_shown`` those in which its results were.
    """

    taken: list[int]
    taken_last: list[int]
    held_back: list[int]
    given: list[int]
    row_shown: list[int]
    results_shown: list[int]

    @classmethod
    def empty(cls) -> Log:
        return cls([], [], [], [], [], [])


class Monitor:
    """Watches both streams on every clock edge and compares each output beat.

    Checks: ``m_axis_tvalid`` and ``s_axis_tready`` are never undefined once reset had one edge;
    ``tvalid`` is low after an edge in reset; once high it stays, and the payload with it, until
    ``tready``; no valid payload is undefined; ``tkeep`` is all ones but on a last beat and its
    tail is contiguous in whole lanes; ``tuser`` is set on last beats only; every beat is the
    one expected, by the tables that were in force when the beat was taken that closed the row.
    Row results keep to the same rules, one item a row, each the one expected.
    A load takes effect where one is awaited only, the declared cycles after its last word. The
    AXI4-Lite port keeps to BusMonitor's rules.
    """

    def __init__(
        self, dut: Any, seen: Seen, config: SoftmaxConfig, hits: Hits, test: str, load_cycles: int
    ) -> None:
        self.dut = dut
        self._seen = seen
        self.config = config
        self._gives_results = config.row_results != "none"
        self.log = Log.empty()
        self.cycle = 0
        self.last_progress = 0
        self.returned: list[Row] = []
        self._load_cycles = load_cycles
        self._words: deque[int] = deque(maxlen=3)
        self.contexts = Contexts(config)
        self.counts = Counts()
        self._bus = BusMonitor(self._read, self.fail) if config.contexts else None
        self._hits = hits
        self._test = test
        self._sent: deque[Row] = deque()
        self._expected: deque[tuple[Row, list[Beat]]] = deque()
        # Whether beats leave before their row's end.
        self._early = config.kernel.beat_reference_bits > 0
        self._masked: deque[Event] = deque()
        self._results: deque[Row] = deque()
        self._result: Results | None = None
        self.results_taken = 0
        self._beats_in = 0
        self._closed: Row | None = None
        self._closed_before: Row | None = None
        self._beat = 0
        self._shown: Beat | None = None
        self._stalled = 0
        self._in_row = False
        self._rows_in = 0
        self._last_was_one_beat = False
        self._reset_edges = 0
        self._was_reset = False

    @property
    def outstanding(self) -> int:
        """Rows that did not come back yet."""
        return len(self._sent) + len(self._expected) + len(self._results)

    @property
    def waiting(self) -> int:
        """Rows that are not taken yet, up to the beat that closes them."""
        return len(self._sent)

    @property
    def beats_of_row_given(self) -> int:
        """Beats of the row on its way out that have left."""
        return self._beat

    def expect(self, row: Row) -> None:
        """Adds a row that must come back after all before it."""
        self._sent.append(row)

    def _forget(self) -> None:
        self._sent.clear()
        self._expected.clear()
        self._masked.clear()
        self._results.clear()
        self._result = None
        self.contexts.reset()
        self.counts.reset()
        if self._bus:
            self._bus.forget()
        self._closed = self._closed_before = None
        self._beat = self._stalled = self._rows_in = self._beats_in = 0
        self._shown = None
        self._in_row = self._last_was_one_beat = False

    def fail(self, message: str) -> NoReturn:
        """Fails the test with everything needed to repeat it."""
        row = f"\n  in {self._expected[0][0]}" if self._expected else ""
        raise AssertionError(
            f"{self._test}: {message}, in cycle {self.cycle}, row {len(self.returned)}, "
            f"beat {self._beat}; seed {SEED}, {self.config}{row}"
        )

    def hit(self, *bins: str) -> None:
        """Counts bins."""
        self._hits.add(self._test, bins)

    async def run(self) -> None:
        """Watches for ever."""
        edge = RisingEdge(self.dut.aclk)
        seen = self._seen
        while True:
            await edge
            seen.look()
            self.cycle += 1
            if not self._read("aresetn"):
                self._forget()
                for name in ("m_axis_tvalid", *(["m_row_tvalid"] if self._gives_results else [])):
                    if self._reset_edges and self._read(name):
                        self.fail(f"{name} is high in reset")
                self._reset_edges += 1
                self._was_reset = True
            elif self._was_reset:
                self._reset_edges = 0
                self._closed_before, self._closed = self._closed, None
                loaded = bool(self._bus) and self._look_at_loads()
                self._look_at_input(self._read("s_axis_tready"))
                self._look_at_output(self._read("m_axis_tvalid"))
                if self._gives_results:
                    self._look_at_results(self._read("m_row_tvalid"))
                self._hit_loads(loaded)

    def _read(self, name: str) -> int:
        try:
            return self._seen[name]
        except ValueError:
            self.fail(f"{name} is {self._seen.bits(name)}")

    def _look_at_loads(self) -> bool:
        assert self._bus
        self._bus.look()
        if self._seen["s_axi_awready"] and self._seen["s_axi_wstrb"] == 0b1111:
            address = self._seen["s_axi_awaddr"]
            if address == _LOAD_WORD:
                self._words.append(self.cycle)
            elif address in _COUNTERS:
                self.counts.clear(_COUNTERS[address], self.cycle)
        # Inside the unit, but the one place where the cycle of a load shows.
        loaded = bool(self._seen[LOADED])
        if loaded and not self.contexts.take_effect():
            self.fail("a load takes effect though none is awaited")
        # A word moves on in the cycle after the bus has given it.
        if loaded and self.cycle - self._load_cycles - 1 not in self._words:
            self.fail(
                f"a load takes effect {[self.cycle - word - 1 for word in self._words]} cycles "
                f"after its last words, declared are {self._load_cycles}"
            )
        return loaded

    def _hit_loads(self, loaded: bool) -> None:
        if self.contexts.awaited is None:
            return
        loading = self.contexts.awaited[0]
        if self._closed is not None:
            if self.contexts.known(self._closed.context) != loading:
                self.hit("load.other_context")
            elif loaded:
                self.hit("load.row_in_cycle_of_effect")
            elif self.contexts.in_force:
                self.hit("load.new_tables_before_done")
            else:
                self.hit("load.old_tables_after_words")
        before = self._closed_before
        if loaded and before and self.contexts.known(before.context) == loading:
            self.hit("load.row_in_cycle_before_effect")
        if loaded and any(self.contexts.known(row.context) == loading for row, _ in self._expected):
            self.hit("load.rows_in_flight")

    def _close_row(self) -> None:
        if not self._sent:
            self.fail("a beat is taken that nobody sent")
        row = self._sent.popleft()
        if self.config.contexts:
            row = row.by(self.contexts.tables[self.contexts.known(row.context)])
        self._closed = row
        if not self._early:
            self._expected.append((row, row.expected()))
        if self._gives_results:
            self._results.append(row)
        if row.all_masked:
            self._masked.append(self.counts.begin("MASKED_ROWS", self.cycle))

    def _look_at_input(self, ready: int) -> None:
        if not self._seen["s_axis_tvalid"]:
            if self._in_row:
                self.hit("flow.source_idle_in_row")
            self._last_was_one_beat = False
        elif not ready:
            self.log.held_back.append(self.cycle)
            self.counts.add("INPUT_STALLED", self.cycle)
            self.hit("flow.input_held_back")
            self._last_was_one_beat = False
        else:
            last = bool(self._seen["s_axis_tlast"])
            self.last_progress = self.cycle
            self.log.taken.append(self.cycle)
            if self._early and not self._beats_in:
                self._expected.append((self._sent[0], self._sent[0].expected()))
            one_beat = last and not self._in_row
            if one_beat and self._last_was_one_beat:
                self.hit("flow.one_beat_rows_every_cycle")
            self._last_was_one_beat = one_beat
            self._in_row = not last
            self._beats_in += 1
            if self._beats_in == self.config.beats or (last and self._beats_in < self.config.beats):
                self._close_row()
                if not last:
                    self.counts.add("LONG_ROWS", self.cycle)
            if last:
                self._beats_in = 0
                self.log.taken_last.append(self.cycle)
                self._rows_in += 1
                if self._rows_in >= 3:
                    self.hit("flow.three_rows_inside")

    def _look_at_output(self, valid: int) -> None:
        ready = bool(self._seen["m_axis_tready"])
        if not valid:
            if self._shown is not None:
                self.fail("m_axis_tvalid fell before m_axis_tready")
            if ready:
                self.hit("flow.ready_before_valid")
            return
        beat = Beat(
            data=self._read("m_axis_tdata"),
            keep=self._read("m_axis_tkeep"),
            user=self._read("m_axis_tuser"),
            last=self._read("m_axis_tlast"),
            context=self._read("m_axis_tid") if self.config.context_bits else 0,
        )
        if self._shown is None:
            if self._beat == 0:
                self.log.row_shown.append(self.cycle)
            self._check_form(beat)
            self._compare(beat)
        elif beat != self._shown:
            self.fail(f"the payload changed before m_axis_tready: {self._shown} became {beat}")
        if ready:
            self._give(beat)
        else:
            self._shown = beat
            self._stalled += 1
            self.counts.add("OUTPUT_STALLED", self.cycle)
            self.hit("flow.output_stalled", "flow.valid_before_ready")
            if beat.last:
                self.hit("flow.output_stalled_on_last")
            if self._stalled == 100:
                self.hit("flow.stall_of_100_cycles")

    def _look_at_results(self, valid: int) -> None:
        ready = bool(self._seen["m_row_tready"])
        if not valid:
            if self._result is not None:
                self.fail("m_row_tvalid fell before m_row_tready")
            return
        result = Results(
            data=self._read("m_row_tdata"),
            user=self._read("m_row_tuser"),
            context=self._read("m_row_tid") if self.config.context_bits else 0,
        )
        if not self._results:
            self.fail(f"{result} come although no row is outstanding")
        row = self._results[0]
        if self._result is None:
            self.log.results_shown.append(self.cycle)
            expected = row.expected_results()
            if result != expected:
                self.fail(f"results {result} of {row} instead of {expected}")
        elif result != self._result:
            self.fail(f"results changed before m_row_tready: {self._result} became {result}")
        if not ready:
            self._result = result
            self.hit("results.stalled")
            return
        self._result = None
        self.last_progress = self.cycle
        self._results.popleft()
        self.results_taken += 1
        # Codes leave before the row's sum is known, which tells a row without a live element.
        if row.all_masked and self.config.output == "codes":
            self._masked.popleft().last = self.cycle
        self.hit(*result_bins(row, self._expected[0][0] is row if self._expected else False))

    def _check_form(self, beat: Beat) -> None:
        lanes, width = self.config.lanes, self.config.prob_bytes
        if self.config.output == "codes":
            lanes, width = -(-lanes * self.config.bits // 8), 1
        if beat.last:
            present = beat.keep.bit_length() // width
            if beat.keep != 2 ** (present * width) - 1 or present > lanes:
                self.fail(f"m_axis_tkeep is no tail of whole lanes: {beat.keep:b}")
        elif beat.keep != 2 ** (lanes * width) - 1:
            self.fail(f"m_axis_tkeep has zeros before the last beat: {beat.keep:b}")
        elif beat.user and self.config.output == "probabilities":
            self.fail("m_axis_tuser is set before the last beat")

    def _compare(self, beat: Beat) -> None:
        if not self._expected:
            self.fail(f"{beat} comes although no row is outstanding")
        if self._early and len(self._expected) == 1 and self._beat >= self._beats_in > 0:
            self.fail(f"{beat} comes before the beat that it is of")
        expected = self._expected[0][1][self._beat]
        if beat != expected:
            self.fail(f"beat {self._hex(beat)} instead of {self._hex(expected)}")

    def _hex(self, beat: Beat) -> str:
        if self.config.output == "codes":
            return str(beat)
        size = 8 * self.config.prob_bytes
        lanes = [beat.data >> (size * i) & (2**size - 1) for i in range(self.config.lanes)]
        return (
            f"{lanes} keep {beat.keep:b} error {beat.user} last {beat.last} context {beat.context}"
        )

    def _give(self, beat: Beat) -> None:
        if self._stalled == 1:
            self.hit("flow.stall_of_one_cycle")
        if self.log.taken and self.log.taken[-1] == self.cycle:
            self.hit("flow.both_sides_move")
        self._shown = None
        self._stalled = 0
        self._beat += 1
        self.last_progress = self.cycle
        self.log.given.append(self.cycle)
        self.counts.add("BEATS", self.cycle)
        if beat.last:
            row, _ = self._expected.popleft()
            self.counts.add("ROWS", self.cycle)
            if row.all_masked and self.config.output == "probabilities":
                self._masked.popleft().last = self.cycle
            self._beat = 0
            self._rows_in -= 1
            self.returned.append(row)
            self.hit(*row_bins(row))
