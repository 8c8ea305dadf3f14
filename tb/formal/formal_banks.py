"""No row sees half a load, or another context's tables: ``map_rules`` and ``loader_rules``.

A unit with contexts keeps tables in banks, one bank more than contexts. A row is given the bank of
its context when it is whole, and is done with it when its probabilities have been divided. Tables
are loaded into the bank that no context has, the *spare* one. The claim: nothing is ever written
into a bank that was given to a row inside. So all of a row's tables are those that its context had
when the row was given its bank.

It is proved in two halves that take nothing for granted of each other but what the other proves:

- ``map_rules``, of the map from contexts to banks alone: while ``free`` is high no row inside has
  the spare bank; ``spare`` moves and ``free`` falls only behind a ``commit``; banks are all
  different. For any rows, any contexts, and commits that come while ``free`` is high.
- ``loader_rules``, of what loads tables, what fills the banks after reset and what receives rows:
  words are written into the spare bank alone and only while ``free`` is high; a ``commit`` comes
  only then; the first ones fill the banks in turn, before a row is given any.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_text import Dut, Opened, instances, opened
from formal_unit import TOP, _made

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.tables.words import (
    excess_word,
    exponential_word,
    sum_word,
    threshold_word,
)
from exaq_hdl.parts.counters import lfsr_state

_MAP, _LOADER = "context_map", "table_loader"
_STORE = f"core.{_LOADER}.{_LOADER}"
_STORES: dict[str, Any] = {
    "thresholds": threshold_word,
    "exponentials": exponential_word,
    "excesses": excess_word,
    "sums": sum_word,
}


def open_map(verilog: str, folder: Path) -> Opened:
    """The map alone, with its counts of rows shown."""
    return opened(verilog, f"{TOP}__{_MAP}", folder, show=["came", "left", "then", "waiting"])


def open_loader(verilog: str, folder: Path) -> Opened:
    """What gives the map rows and commits, and what writes into banks; without the map itself."""
    kept = [f"core.{name}" for name in (_LOADER, "boot", "receiver")]
    cut = [
        place
        for place, _ in instances(verilog, TOP)
        if place.rpartition(".")[0] in ("", "core") and place not in ("core", *kept)
    ]
    shown = [f"{_STORE}_{name}_{end}" for name in _STORES for end in ("valid", "payload")]
    return opened(verilog, TOP, folder, cut=cut, show=shown)


Say = Callable[[Any], None]


class _Ports:
    """What the map and all else tell each other, and how they keep to it.

    Members
    -------
    filled, full : how many banks have been filled after reset, and whether all have
    steady : whether ``target`` is what it was a cycle before
    """

    def __init__(self, dut: Dut, config: SoftmaxConfig, place: str = ""):
        self.row_in, self.filling, self.commit, self.spare, self.free = (
            dut[f"{place}{_MAP}_{name}"]
            for name in ("row_in", "filling", "commit", "spare", "free")
        )
        self.target = dut[f"{place}former__addr"]
        self.contexts = config.contexts
        self.filled = Signal(range(self.contexts + 1))
        self.full = self.filled == self.contexts
        self._aimed = Signal.like(self.target)
        self.steady = self.target == self._aimed

    def say_of_map(self, m: Module, say: Say) -> None:
        """Only behind a commit ``spare`` moves and ``free`` falls."""
        committed, was_free, begun = Signal(), Signal(), Signal()
        was_spare = Signal.like(self.spare)
        m.d.sync += [
            committed.eq(self.commit),
            was_free.eq(self.free),
            was_spare.eq(self.spare),
            begun.eq(1),
        ]
        still = (~was_free | self.free) & (was_spare == self.spare)
        say(ResetSignal() | ~begun | committed | still)
        say(ResetSignal() | begun | (self.free & (self.spare == 0)))

    def say_of_rest(self, m: Module, say: Say) -> None:
        """Commits come while ``free`` is high; the first ones fill the banks in turn, and rows
        come after that.
        """
        m.d.sync += [
            self.filled.eq(self.filled + (self.commit & ~self.full)),
            self._aimed.eq(self.target),
        ]
        say(~self.commit | self.free)
        say(~self.commit | self.full | (self.filling & (self.target == self.filled)))
        say(~(self.commit & self.full) | (self.steady & (self.target < self.contexts)))
        say(self.full | (self.filled == 0) | self.filling)
        say(~(self.full & self.filling))
        say(~self.row_in | self.full)


class _Table:
    """The banks of the contexts in registers that a proof can see, beside the map's own memory.

    Members
    -------
    each, banks : of each context, as a list and to be indexed
    given : the bank of the context that was asked for a cycle before
    came : a row came a cycle before
    remembers : whether the map's memory gives what was written into it last
    """

    def __init__(self, m: Module, dut: Dut, ports: _Ports):
        bank, self.context = dut[f"{_MAP}_bank"], dut[f"{_MAP}_context"]

        def register(name: str) -> Signal:
            return Signal(len(bank), name=name, reset_less=True)

        self.each = [register(f"bank{k}") for k in range(ports.contexts)]
        self.banks = Array(self.each)
        self.given, former, was_former = (
            register(name) for name in ("given", "former", "was_former")
        )
        self.came, moved = Signal(), Signal()
        with m.If(ports.commit):
            m.d.sync += self.banks[ports.target].eq(ports.spare)
        m.d.sync += [
            self.given.eq(self.banks[self.context]),
            self.came.eq(ports.row_in),
            former.eq(self.banks[ports.target]),
            was_former.eq(former),
            moved.eq(ports.commit & ports.full),
        ]
        self.remembers = (~self.came | (bank == self.given)) & (
            ~moved | (ports.spare == was_former)
        )


def _begin(config: SoftmaxConfig, design: Opened) -> tuple[Claim, Dut, _Ports, _Table]:
    """A claim of the map, whose surroundings keep to what ``loader_rules`` says of them."""
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, free=dut.free, opened=design)
    ports = _Ports(dut, config)
    ports.say_of_rest(m, claim.given)
    table = _Table(m, dut, ports)
    claim.given(~ports.row_in | (table.context < config.contexts))
    return claim, dut, ports, table


def memory_rules(config: SoftmaxConfig, design: Opened, *, later: bool = False) -> Claim:
    """The map remembers each context's bank. It does not show a bank a cycle ``later``."""
    claim, dut, _, table = _begin(config, design)
    claim.always(table.remembers)
    if later:
        asked_before, bank_before = Signal(), Signal.like(table.given)
        claim.module.d.sync += [asked_before.eq(table.came), bank_before.eq(table.given)]
        claim.always(~asked_before | (dut[f"{_MAP}_bank"] == bank_before))
    return claim


def map_rules(config: SoftmaxConfig, design: Opened, *, for_ever: bool = False) -> Claim:
    """While ``free`` is high, no row inside has the spare bank. It is not true of a row that is
    looked at ``for_ever``, also after it is done.
    """
    claim, dut, ports, table = _begin(config, design)
    m = claim.module
    claim.given(table.remembers)
    made: Any = _made(config).kernel
    rows, contexts = made.tables.context_map.rows, config.contexts
    comes, leaves = ports.row_in, dut[f"{_MAP}_row_out"]
    commit, spare, free = ports.commit, ports.spare, ports.free
    filled, full = ports.filled, ports.full

    # What the queues are sized for, and that no row leaves that has not come.
    inside = Signal(range(rows + 2))
    m.d.sync += inside.eq(inside + comes - leaves)
    claim.given(~leaves | (inside != 0))
    claim.given(inside <= rows)

    banks = table.banks
    for k, bank in enumerate(table.each):
        there = filled > k
        claim.always(~there | (bank != spare))
        claim.always(full | ~there | (bank == k))
        for other in table.each[:k]:
            claim.always(~there | (bank != other))
    claim.always(full | (spare == filled))
    claim.always(filled <= contexts)
    claim.always(~ports.filling | free)

    # Any row, its bank, and how many leave before it. It has its bank a cycle after it came.
    on, ahead = Signal(), Signal(range(rows + 2))
    its_bank = Signal.like(table.given, reset_less=True)
    chosen = comes & ~on & claim.unknown(1, "choice")
    m.d.sync += [
        on.eq(chosen | (on & (for_ever | ~(leaves & (ahead == 0))))),
        ahead.eq(Mux(chosen, inside - leaves, ahead - leaves)),
        its_bank.eq(Mux(chosen, banks[table.context], its_bank)),
    ]
    claim.always(~(on & free) | (its_bank != spare))
    ports.say_of_map(m, claim.always)

    # What makes that inductive. Rows are counted by the states of shift registers.
    width = len(dut["came"])
    states = Array(lfsr_state(width, k) for k in range((1 << width) - 1))
    committed, begun = Signal(), Signal()
    m.d.sync += [committed.eq(commit), begun.eq(begun | committed)]
    came, left, then = (
        Signal(range(len(states)), name=f"number_{name}") for name in ("came", "left", "then")
    )

    def after(number: Signal) -> Any:
        return Mux(number == len(states) - 1, 0, number + 1)

    m.d.sync += [
        came.eq(Mux(comes, after(came), came)),
        left.eq(Mux(leaves, after(left), left)),
        then.eq(Mux(committed, came, then)),
    ]
    for name, number in (("came", came), ("left", left), ("then", then)):
        claim.always(number < len(states))
        unknown = ~begun if name == "then" else Const(0)
        claim.always(unknown | (dut[name] == states[number]))

    def not_left(number: Signal) -> Any:
        difference = number - left
        return Mux(difference < 0, difference + len(states), difference)

    waiting = dut["waiting"]
    claim.always(inside == not_left(came))
    claim.always(inside <= rows)
    if not for_ever:
        claim.always(~on | (ahead < inside))
    claim.always(~committed | waiting)
    claim.always(~waiting | committed | (begun & (not_left(then) <= inside)))
    claim.always(full | ((inside == 0) & ~table.came & ~on))
    former = on & (its_bank == spare)
    claim.always(~former | (waiting & (committed | (ahead < not_left(then)))))
    return claim


def loader_rules(config: SoftmaxConfig, design: Opened, *, hasty: bool = False) -> Claim:
    """Words are written into the spare bank alone, and only while ``free`` is high; and commits and
    rows come as the map is told. It is not true beside a map that is ``hasty``: its ``free`` may
    fall at any time.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, free=dut.free, opened=design)
    ports = _Ports(dut, config, f"core.{_MAP}.")
    if not hasty:
        ports.say_of_map(m, claim.given)
    claim.given(~ports.filling | ports.free)
    ports.say_of_rest(m, claim.always)
    for name, word in _STORES.items():
        written, payload = (dut[f"{_STORE}_{name}_{end}"] for end in ("valid", "payload"))
        into = data.View(word(config.kernel), payload).bank
        claim.always(~written | (ports.free & (into == ports.spare)))
    return claim
