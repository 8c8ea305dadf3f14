"""Provers: whether an assertion of a design can ever fail, whatever its free inputs do.

A design is an Amaranth module with ``Assert`` and ``Assume``, perhaps round a module of the emitted
text (``formal_text``). Provers answer:

- ``induct``: for ever, by induction over a few cycles, with Yosys's own solver. The assertions must
  be strong enough to follow from one another.
- ``reach``: for ever, by ABC's property directed reachability, which finds by itself what is
  missing for an induction. For control; it does not get through arithmetic.
- ``bounded``: for the first cycles alone, with Yosys's solver; ``search`` is ABC's way to do that.

Every design begins with a cycle of reset; it may be reset again at any time.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from amaranth import hdl
from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.hdl import Module, ResetSignal, Signal
from formal_text import Opened

from exaq.tool import ToolError, run_tool
from exaq_fpga.flow import tools

# Their types ask for the message that may go with them.
Assert: Any = hdl.Assert
Assume: Any = hdl.Assume


class Answer(Enum):
    """What a prover says."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@dataclass
class Claim:
    """A design with assertions.

    Members
    -------
    module
        Amaranth's, which holds the assertions.
    free
        Inputs that may do anything.
    opened
        The module of the emitted text that is an instance in ``module``.
    """

    module: Module
    free: list[Any] = field(default_factory=list)
    opened: Opened | None = None

    def __post_init__(self) -> None:
        self.first = Signal(init=1, reset_less=True, name="first_cycle")
        self.module.d.sync += self.first.eq(0)
        self.module.d.comb += Assume(~self.first | ResetSignal())

    def always(self, condition: Any) -> None:
        """Asserts ``condition`` in every cycle without reset."""
        self.module.d.comb += Assert(ResetSignal() | condition)

    def given(self, condition: Any) -> None:
        """Takes ``condition`` for granted."""
        self.module.d.comb += Assume(condition)

    def held(self, valid: Any, ready: Any, payload: Any, name: str) -> Any:
        """Whether a stream keeps what it offered until it is taken."""
        waiting = Signal(name=f"{name}_offered")
        was = Signal(len(payload), name=f"{name}_was")
        self.module.d.sync += [waiting.eq(valid & ~ready), was.eq(payload)]
        return ~waiting | (valid & (payload == was))

    def unknown(self, width: int, name: str) -> Signal:
        """An input that may change in every cycle."""
        signal = Signal(width, name=name)
        self.free.append(signal)
        return signal

    def constant(self, width: int, name: str) -> Signal:
        """Any number, the same for ever."""
        signal = Signal(width, name=name, reset_less=True)
        with self.module.If(self.first):
            self.module.d.sync += signal.eq(self.unknown(width, f"{name}_choice"))
        return signal


def _write(claim: Claim, folder: Path) -> str:
    text = rtlil.convert(claim.module, name="top", ports=claim.free, emit_src=False)
    (folder / "top.il").write_text(text)
    if claim.opened is None:
        return "read_rtlil top.il"
    (folder / "dut.il").write_text(claim.opened.rtlil)
    return "read_rtlil dut.il; read_rtlil top.il"


def _common(claim: Claim, folder: Path) -> list[str]:
    return [
        _write(claim, folder),
        "hierarchy -check -top top",
        "proc",
        "flatten",
        "memory_map",
        "async2sync",
        "chformal -lower",
        "setundef -undriven -anyseq",
        "setundef -anyseq",
        "opt -full",
    ]


def _solve(claim: Claim, folder: Path, how: str) -> Answer:
    script = [*_common(claim, folder), f"sat -verify -prove-asserts -set-assumes {how}"]
    try:
        tools.run("yosys", ["-q", "-l", "yosys.log", "-p", "; ".join(script)], folder)
    except ToolError:
        log = (folder / "yosys.log").read_text()
        if "model found: FAIL" in log or "finished - model found" in log:
            return Answer.REFUTED
        if "Reached maximum number of time steps" in log:
            return Answer.UNKNOWN
        raise
    return Answer.PROVED


def induct(claim: Claim, folder: Path, *, steps: int = 3) -> Answer:
    """By induction over at most ``steps`` cycles; ``UNKNOWN`` where it takes more."""
    return _solve(claim, folder, f"-tempinduct -maxsteps {steps}")


def bounded(claim: Claim, folder: Path, *, steps: int) -> Answer:
    """In the first ``steps`` cycles; what is behind them stays open."""
    return _solve(claim, folder, f"-tempinduct -tempinduct-baseonly -maxsteps {steps}")


ABC = ("berkeley-abc", "yosys-abc", "abc")


def abc_command() -> str | None:
    """The machine's ABC."""
    return next((name for name in ABC if shutil.which(name)), None)


def reach(claim: Claim, folder: Path, *, seconds: int = 60) -> Answer:
    """By property directed reachability, for at most so many ``seconds``."""
    said = _ask_abc(claim, folder, "pdr", seconds)
    if "Property proved" in said:
        return Answer.PROVED
    return _refuted(said)


def search(claim: Claim, folder: Path, *, steps: int, seconds: int = 300) -> Answer:
    """A way to break the claim within ``steps`` cycles, by ABC: ``REFUTED``, or ``UNKNOWN``."""
    return _refuted(_ask_abc(claim, folder, f"bmc3 -F {steps}", seconds))


def _refuted(said: str) -> Answer:
    found = re.search(r"Output \d+ of miter .* was asserted in frame", said)
    return Answer.REFUTED if found else Answer.UNKNOWN


def _ask_abc(claim: Claim, folder: Path, command: str, seconds: int) -> str:
    script = [
        *_common(claim, folder),
        "setattr -unset keep",
        # ABC takes every output for a property.
        "delete -output",
        "opt -full",
        "techmap",
        "opt -fast",
        "formalff -clk2ff -ff2anyinit",
        "simplemap",
        "dffunmap",
        "aigmap",
        "setundef -anyseq",
        "opt_clean",
        "write_aiger -I -B -zinit claim.aig",
    ]
    tools.run("yosys", ["-q", "-l", "yosys.log", "-p", "; ".join(script)], folder)
    try:
        return abc(f"read_aiger claim.aig; fold; strash; {command}", folder, seconds)
    except ToolError as error:
        if "took longer" in str(error):
            return ""
        raise


def abc(commands: str, folder: Path, seconds: float) -> str:
    """What ABC says to ``commands``, which may take so many ``seconds``."""
    name = abc_command()
    if name is None:
        raise ToolError(f"none of {', '.join(ABC)} is on the path")
    return run_tool("abc", (name, "-c", commands), seconds=seconds, folder=folder).stdout
