"""All mutants of a unit in one compiled model, run through scenarios: what becomes of each."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mutants_netlist import SELECT_BITS, TOP, Netlist
from mutants_scenarios import NEVER, Pauses, Scenario, Segment
from numpy.typing import NDArray
from rtl_harness import BEAT
from rtl_rows import Beat, Results

from exaq import SoftmaxConfig
from exaq_cosim.compiler import Harness, compile_verilog

_DRIVER = Path(__file__).with_name("mutants_bench.cpp")
_MOST_SCENARIOS = 40
#: Ports of the unit's channels, by prefix: inputs, then outputs. A unit may lack some.
_INPUTS = {
    "s_axis": ("s_axis_", (*BEAT, "tlast")),
    "aw": ("s_axi_aw", ("addr", "prot")),
    "w": ("s_axi_w", ("data", "strb")),
    "ar": ("s_axi_ar", ("addr", "prot")),
}
_OUTPUTS = {
    "m_axis": ("m_axis_", (*BEAT, "tlast")),
    "m_row": ("m_row_", ("tdata", "tuser", "tid")),
    "b": ("s_axi_b", ("resp",)),
    "r": ("s_axi_r", ("data", "resp")),
}
# What rtl_rows calls the ports of an output.
_FIELDS = {"tdata": "data", "tkeep": "keep", "tuser": "user", "tid": "context", "tlast": "last"}
#: enum Reason of the driver, from 1.
_REASONS = (
    "another payload",
    "a beat too many",
    "valid fell before ready",
    "the payload changed before ready",
    "it hangs",
    "valid waits for ready",
)
_UNSETTLED = "its logic does not settle"
#: What becomes of a mutant.
DATA, RATE, SURVIVED = "data", "rate", "survived"
_SECONDS = 3600


@dataclass(frozen=True)
class Channel:
    """Valid, ready and the ports of the payload, the lowest first."""

    name: str
    valid: str
    ready: str
    ports: tuple[tuple[str, int], ...]

    @property
    def bits(self) -> int:
        """Of the payload."""
        return sum(width for _, width in self.ports)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Parameters
    ----------
    number
        Of the mutant.
    fate
        ``data``: it gave other beats than the unit, too many or none, or broke a rule of the bus.
        ``rate``: the beats were right, but some moved in other cycles where cycles are stated.
        ``survived``: neither.
    scenario
        Where it was killed; nothing where it was not.
    how
        By what.
    elsewhere
        Scenarios in which something was shown or moved in other cycles than in the unit, of a
        mutant that survived: nothing is said of these cycles.
    """

    number: int
    fate: str
    scenario: str = ""
    how: str = ""
    elsewhere: tuple[str, ...] = ()


def channels(ports: Sequence[Any]) -> tuple[list[Channel], list[Channel]]:
    """The channels of a unit with these ports: its inputs and its outputs."""
    width = {port["name"]: port["width"] for port in ports}
    found: tuple[list[Channel], list[Channel]] = ([], [])
    for kinds, into in zip((_INPUTS, _OUTPUTS), found, strict=True):
        for name, (prefix, parts) in kinds.items():
            handshake = f"{prefix}t" if name.startswith(("s_axis", "m_")) else prefix
            if f"{handshake}valid" not in width:
                continue
            here = [
                (prefix + part, width[prefix + part]) for part in parts if prefix + part in width
            ]
            into.append(Channel(name, f"{handshake}valid", f"{handshake}ready", tuple(here)))
    return found


class Bench:
    """The compiled model of a unit with mutants, and the scenarios of that unit.

    Raises
    ------
    exaq.tool.ToolError
        No C++ compiler, no Verilator, or one of them failed.
    """

    def __init__(
        self, config: SoftmaxConfig, netlist: Netlist, scenarios: Sequence[Scenario]
    ) -> None:
        self.config = config
        self.netlist = netlist
        self.scenarios = list(scenarios)
        assert len(self.scenarios) <= _MOST_SCENARIOS
        self.inputs, self.outputs = channels(netlist.ports)
        self.in_words, self.out_words = (
            max(3, *(-(-channel.bits // 32) for channel in side))
            for side in (self.inputs, self.outputs)
        )
        settings = {
            "INPUTS": len(self.inputs),
            "OUTPUTS": len(self.outputs),
            "IN_WORDS": self.in_words,
            "OUT_WORDS": self.out_words,
            "MOST_SCENARIOS": _MOST_SCENARIOS,
            # Cycles in which nothing moves until the unit itself is taken to be done.
            "GOLDEN_QUIET": 600 + 2 * config.beats + (config.contexts and 4 * self._load_cycles),
        }
        harness = Harness(
            name="mutants",
            top="mutants",
            prefix="Vmutants",
            sources={_DRIVER.name: _DRIVER.read_text(encoding="utf-8")},
            defines=[f"MUTANTS_{name}={value}" for name, value in settings.items()],
        )
        verilog = {"unit.v": netlist.verilog, "mutants.v": self._wrapper()}
        self._program = compile_verilog(verilog, harness)

    @property
    def _load_cycles(self) -> int:
        return self.config.kernel.most_load_cycles

    def run(self) -> list[Verdict]:
        """What becomes of each mutant; the unit as it is must give what the golden model says."""
        with tempfile.TemporaryDirectory(prefix="exaq-") as name:
            folder = Path(name)
            numbers = [mutant.number for mutant in self.netlist.mutants]
            said = self._simulated(folder, min(numbers), max(numbers))
            self._check(folder / "record")
        verdicts = {
            verdict.number: verdict for verdict in map(self._verdict, said.split("\n")[:-1])
        }
        return [verdicts[number] for number in numbers]

    def _simulated(self, folder: Path, first: int, last: int) -> str:
        """Runs the unit and some mutants; what is said of these."""
        with (folder / "scenarios").open("wb") as file:
            file.writelines(self._packed())
        command = [str(self._program), "scenarios", str(first), str(last), "record"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        if done.returncode:
            raise AssertionError(done.stderr.strip())
        return done.stdout

    def _verdict(self, line: str) -> Verdict:
        number, done, reason, _, scenario, segment, cycle, *timing = line.split()
        moved = [each[0] == "1" for each in timing]
        shown = [each[1] == "1" for each in timing]
        if reason != "0" or done == "0":
            where = self.scenarios[int(scenario)].name
            how = _REASONS[int(reason) - 1] if done == "1" else _UNSETTLED
            return Verdict(int(number), DATA, where, f"{how}, segment {segment}, cycle {cycle}")
        for scenario_, differs in zip(self.scenarios, moved, strict=True):
            if differs and scenario_.exact:
                return Verdict(int(number), RATE, scenario_.name, "other cycles")
        elsewhere = dict.fromkeys(
            scenario_.name
            for scenario_, differs in zip(self.scenarios, shown, strict=True)
            if differs
        )
        return Verdict(int(number), SURVIVED, elsewhere=tuple(elsewhere))

    def _packed(self) -> Iterator[bytes]:
        """The scenarios as the driver reads them."""
        yield struct.pack("<I", len(self.scenarios))
        for seed, scenario in enumerate(self.scenarios):
            yield struct.pack("<II", seed, len(scenario.segments))
            for segment in scenario.segments:
                yield struct.pack("<II", segment.end, segment.reset)
                for channel in (*self.inputs, *self.outputs):
                    yield _pauses(segment.pauses.get(channel.name, NEVER))
                for channel in self.inputs:
                    beats = self._beats(segment, channel)
                    yield struct.pack("<I", len(beats)) + beats.tobytes()

    def _beats(self, segment: Segment, channel: Channel) -> NDArray[np.uint32]:
        sent = segment.sent.get(channel.name, [])
        names = [each.name for each in (*self.inputs, *self.outputs)]
        beats = np.zeros((len(sent), self.in_words + len(names) + 1), np.uint32)
        for beat, row in zip(sent, beats, strict=True):
            payload = beat.payload.to_bytes(4 * self.in_words, "little")
            row[: self.in_words] = np.frombuffer(payload, "<u4")
            row[self.in_words : -1] = [beat.after.get(name, 0) for name in names]
            row[-1] = beat.delay
        return beats

    def _check(self, record: Path) -> None:
        """Compares what the unit gave with the golden model, where rows' tables are known."""
        words = np.fromfile(record, "<u4")
        place = 0
        for scenario in self.scenarios:
            for number, segment in enumerate(scenario.segments):
                place += 1
                for channel in self.outputs:
                    count = int(words[place])
                    given = words[place + 1 : place + 1 + count].reshape(-1, self.out_words)
                    place += 1 + count
                    found = [int.from_bytes(each.tobytes(), "little") for each in given]
                    where = f"{scenario.name}, segment {number}, {channel.name}"
                    self._compare(segment, channel, found, where)

    def _compare(self, segment: Segment, channel: Channel, found: list[int], where: str) -> None:
        expected: list[int | None] = []
        widths = [width for _, width in channel.ports]
        names = [name.rpartition("_")[2] for name, _ in channel.ports]
        if channel.name in ("b", "r"):
            expected = [None] * segment.moved.get(channel.name, 0)
        for row in segment.rows if channel.name in ("m_axis", "m_row") else ():
            known = not self.config.contexts or row.tables is not None
            beats: Sequence[Beat | Results | None]
            if channel.name == "m_row":
                beats = [row.expected_results() if known else None]
            else:
                beats = row.expected() if known else [None] * row.beats_out
            for said in beats:
                fields = () if said is None else [getattr(said, _FIELDS[name]) for name in names]
                expected.append(None if said is None else _joined(fields, widths))
        if not segment.end and len(found) != len(expected):
            raise AssertionError(f"{where}: the unit gave {len(found)} of {len(expected)}")
        for beat, (value, wanted) in enumerate(zip(found, expected, strict=False)):
            if wanted is not None and value != wanted:
                raise AssertionError(f"{where}: beat {beat} is {value:#x}, not {wanted:#x}")

    def _wrapper(self) -> str:
        """Verilog that joins the unit's channels to a few wide ports."""
        width = {str(port["name"]): port["width"] for port in self.netlist.ports}
        lines = [f".{name}({name})" for name in ("aclk", "aresetn")]
        lines.append(f".mutsel(mutsel[{SELECT_BITS - 1}:0])")
        assigned = []
        for side, words, into in (
            (self.inputs, self.in_words, ("in_valid", "in_ready", "in_payload")),
            (self.outputs, self.out_words, ("out_valid", "out_ready", "out_payload")),
        ):
            valid, ready, payload = into
            for number, channel in enumerate(side):
                lines += [f".{channel.valid}({valid}[{number}])"]
                lines += [f".{channel.ready}({ready}[{number}])"]
                place = 32 * words * number
                for name, bits in channel.ports:
                    lines.append(f".{name}({payload}[{place} +: {bits}])")
                    place += bits
                free = 32 * words * (number + 1) - place
                if side is self.outputs and free:
                    assigned.append(f"assign {payload}[{place} +: {free}] = 0;")
        assert {line[1:].partition("(")[0] for line in lines} - {"mutsel"} == set(width)
        sizes = 32 * self.in_words * len(self.inputs), 32 * self.out_words * len(self.outputs)
        connections, rest = ",\n    ".join(lines), "\n  ".join(assigned)
        return f"""\
module mutants(
  input aclk, input aresetn, input [31:0] mutsel,
  input [{len(self.inputs) - 1}:0] in_valid, output [{len(self.inputs) - 1}:0] in_ready,
  input [{sizes[0] - 1}:0] in_payload,
  output [{len(self.outputs) - 1}:0] out_valid, input [{len(self.outputs) - 1}:0] out_ready,
  output [{sizes[1] - 1}:0] out_payload
);
  {TOP} unit (
    {connections}
  );
  {rest}
endmodule
"""


def _pauses(pauses: Pauses) -> bytes:
    most = (1 << 32) - 1
    chances = (min(most, round(each * 2.0**32)) for each in (pauses.chance, pauses.burst))
    return struct.pack("<IIII", *chances, pauses.longest, pauses.closed)


def _joined(values: Sequence[int], widths: Sequence[int]) -> int:
    whole = place = 0
    for value, width in zip(values, widths, strict=True):
        whole |= value << place
        place += width
    return whole
