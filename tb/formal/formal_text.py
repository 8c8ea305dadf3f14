"""A module of the emitted Verilog, opened for a proof: parts cut out, inner signals shown.

    row_buffer = opened(verilog, "exaq_softmax__row_buffer", folder, cut=["ram"], show=["spare"])

What stands where a part was cut out is the prover's: what the part was given comes out at ports of
the module, and what it gave goes in at others, each with the part's name before its own
(``ram.write_data``). So a proof can put a model there, or nothing at all: free inputs, which stand
for any part whatever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal

from exaq_fpga.flow import tools

#: Name of the opened module in the files that a prover reads.
DUT = "dut"


@dataclass(frozen=True)
class Opened:
    """A module that was opened.

    Members
    -------
    rtlil
        The module, named ``DUT``, with whatever is inside.
    inputs, outputs
        Width of each port, its clock and reset left out.
    clock, reset
        Names of these two; empty where there is none.
    """

    rtlil: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    clock: str
    reset: str

    def ending(self, end: str) -> list[str]:
        """Ports whose name is ``end``, or ends with it behind ``.`` or ``_``."""
        pattern = re.compile(rf"(^|[._]){re.escape(end)}$")
        return [port for port in (*self.inputs, *self.outputs) if pattern.search(port)]


def modules_of(verilog: str) -> Mapping[str, str]:
    """Each module's text by its name, in the order of the text."""
    found = re.finditer(r"^module (\w+) ?[(#].*?^endmodule$", verilog, re.S | re.M)
    return {each[1]: each[0] for each in found}


def instances(verilog: str, top: str) -> Iterator[tuple[str, str]]:
    """Place and module of every instance below ``top``, ``core.max_queue.fifo`` for example."""
    texts = modules_of(verilog)

    def below(module: str, place: str) -> Iterator[tuple[str, str]]:
        for kind, name in re.findall(r"^  (\w+) +(?:#\(.*?\) )?(\w+) \($", texts[module], re.M):
            if kind in texts:
                yield place + name, kind
                yield from below(kind, f"{place}{name}.")

    return below(top, "")


def opened(
    verilog: str,
    module: str,
    folder: Path,
    *,
    cut: Sequence[str] = (),
    show: Sequence[str] = (),
) -> Opened:
    """Opens one module of the text.

    Parameters
    ----------
    verilog
        As emitted.
    module
        Its top for the proof.
    folder
        Where Yosys works.
    cut
        Places of instances to cut out, below ``module``.
    show
        Names of inner signals that become outputs.
    """
    kinds = dict(instances(verilog, module))
    (folder / "design.v").write_text(verilog)
    script = [
        "read_verilog design.v",
        f"hierarchy -top {module}",
        "proc",
        *(f"setattr -mod -set keep_hierarchy 1 {kinds[place]}" for place in cut),
        "flatten",
        "opt_clean",
        f"cd {module}",
        *(f"expose -evert -sep . c:{place}" for place in cut),
        *(f"expose w:{name}" for name in show),
        "cd",
        f"rename {module} {DUT}",
        f"select {DUT}",
        "write_json -selected dut.json",
        "write_rtlil -selected dut.il",
    ]
    tools.run("yosys", ["-q", "-l", "open.log", "-p", "; ".join(script)], folder)
    ports = json.loads((folder / "dut.json").read_text())["modules"][DUT]["ports"]
    widths: dict[str, dict[str, int]] = {"input": {}, "output": {}}
    for name, port in ports.items():
        widths[port["direction"]][name] = len(port["bits"])
    clock = next((name for name in ("clk", "aclk") if name in ports), "")
    reset = next((name for name in ("rst", "aresetn") if name in ports), "")
    for name in (clock, reset):
        widths["input"].pop(name, None)
    # Clocks of what was cut out.
    widths["output"] = {
        name: width
        for name, width in widths["output"].items()
        if not re.search(r"\.(clk|rst)$", name)
    }
    return Opened((folder / "dut.il").read_text(), widths["input"], widths["output"], clock, reset)


class Dut:
    """An opened module within a proof: a signal for each port, by name or by the end of a name.

    Inputs that nothing drives are to be free: ``free`` lists them for the prover.
    """

    def __init__(self, m: Module, design: Opened):
        self.design = design
        self._m = m
        self.signals = {
            name: Signal(width, name=name.replace(".", "_"))
            for name, width in (*design.inputs.items(), *design.outputs.items())
        }
        reset: Any = ResetSignal()
        ports: list[Any] = []
        if design.clock:
            ports.append(("i", design.clock, ClockSignal()))
        if design.reset:
            ports.append(("i", design.reset, ~reset if design.reset == "aresetn" else reset))
        ports += [("i", name, self.signals[name]) for name in design.inputs]
        ports += [("o", name, self.signals[name]) for name in design.outputs]
        m.submodules.dut = Instance(DUT, *ports)
        self._driven: set[str] = set()

    def __getitem__(self, end: str) -> Signal:
        if end in self.signals:
            return self.signals[end]
        (name,) = self.design.ending(end)
        return self.signals[name]

    def has(self, end: str) -> bool:
        """Whether one port has this name, or this end of a name."""
        return end in self.signals or len(self.design.ending(end)) == 1

    def drive(self, end: str, value: Any) -> None:
        """Drives an input."""
        signal = self[end]
        self._m.d.comb += signal.eq(value)
        self._driven.add(signal.name)

    @property
    def free(self) -> list[Signal]:
        """Inputs that nothing drives."""
        inputs = (self.signals[name] for name in self.design.inputs)
        return [signal for signal in inputs if signal.name not in self._driven]


def queues(verilog: str, top: str) -> Iterable[tuple[str, str]]:
    """Places and modules of the queues below ``top``: of what counts its free places."""
    texts = modules_of(verilog)
    for place, module in instances(verilog, top):
        if re.search(r"^  reg .*\bspare;$", texts[module], re.M):
            yield place, module
