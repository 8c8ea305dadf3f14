"""A self-checking bench of a unit in Verilog-2001, whose rows come from the golden model.

exaq generate --core -o softmax.v
iverilog -g2001 -o softmax.vvp softmax_tb.v softmax.v
vvp -N softmax.vvp
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import groupby
from typing import Any

from exaq_hdl.emit.companions.bench_rows import (
    Beat,
    beats_in,
    beats_out,
    bench_rows,
    result_beat,
)
from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.emit.names import inner_name

# Width of each port.
Widths = Mapping[str, int]

# Bits of the random word by which the receivers stall, so that they do not stall together.
_RANDOM_BITS = {"m_axis": 7, "m_row": 13}

# Ports of a stream that are no part of what a beat holds.
_HANDSHAKE = ("tvalid", "tready")


def bench_name(unit: Unit) -> str:
    """The bench's module."""
    return inner_name(unit.name, "tb")


def verilog_bench(unit: Unit) -> str:
    """The bench of an AXI4-Stream top that has its memories."""
    config, manifest = unit.config, unit.emitted.manifest
    rows = bench_rows(config)
    expected = {"m_axis": [beat for row in rows for beat in beats_out(row, config)]}
    if config.row_results != "none":
        expected["m_row"] = [result_beat(row, config) for row in rows]
    sent = [beat for row in rows for beat in beats_in(row, config)]
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    streams = [
        _source(widths, sent),
        *(_sink(stream, widths, beats, _RANDOM_BITS[stream]) for stream, beats in expected.items()),
    ]
    every = ("s_axis", *expected)
    filling = manifest.get("contexts", {}).get("cycles_after_reset", 0)
    values = {
        "NAME": unit.name,
        "BENCH": bench_name(unit),
        "VERSION": manifest["versions"]["exaq-softmax"],
        "ROWS": len(rows),
        # Twice what a longest row needs, for stalls, and all its divisions one after another.
        "LIMIT": 2 * (4 * config.beats + 4096) + filling,
        "STREAMS": "\n".join(streams).strip(),
        "PORTS": _connections(manifest["ports"]),
        "MOVED": " | ".join(f"{each}_moves" for each in every),
        "DONE": " & ".join(f"{each}_done" for each in every),
    }
    text = resources.files(__package__).joinpath("bench.v").read_text(encoding="utf-8")
    for mark, value in values.items():
        text = text.replace(f"/* {mark} */", str(value))
    return text


def _connections(ports: Sequence[Mapping[str, Any]]) -> str:
    """Ports of streams to signals of their names; those of registers are at rest."""
    parts = []
    for port in ports:
        name, signal = port["name"], port["name"]
        if name.startswith("s_axi_"):
            signal = f"{port['width']}'b0" if port["direction"] == "input" else ""
        parts.append(f".{name}({signal})")
    return ",\n    ".join(parts)


def _payload(stream: str, widths: Widths) -> list[str]:
    """Ports of a beat, the first one highest in its word."""
    signals = {f"{stream}_{each}" for each in _HANDSHAKE}
    return [name for name in widths if name.startswith(f"{stream}_") and name not in signals]


def _range(width: int) -> str:
    return "" if width == 1 else f"[{width - 1}:0] "


def _memory(stream: str, ports: Sequence[str], widths: Widths, beats: Iterable[Beat]) -> str:
    """Memories of a stream's beats; equal ones that follow one another are a run."""
    width = sum(widths[port] for port in ports)
    runs = [(word, len(list(run))) for word, run in groupby(_words(ports, widths, beats))]
    lines = [
        f"  localparam {stream.upper()}_RUNS = {len(runs)};",
        f"  reg [{width - 1}:0] {stream}_beats [0:{len(runs) - 1}];",
        f"  reg [31:0] {stream}_repeats [0:{len(runs) - 1}];",
        "  initial begin",
        *(
            f"    {stream}_beats[{at}] = {width}'h{word:x}; {stream}_repeats[{at}] = {repeats};"
            for at, (word, repeats) in enumerate(runs)
        ),
        "  end",
        f"  reg [31:0] {stream}_run = 0, {stream}_repeat = 0;",
        f"  wire {stream}_run_ends = {stream}_repeat + 1 == {stream}_repeats[{stream}_run];",
    ]
    return "\n".join(lines)


def _words(ports: Sequence[str], widths: Widths, beats: Iterable[Beat]) -> Iterator[int]:
    """Each beat as a word of its ports, the last one lowest."""
    for beat in beats:
        word = 0
        for port in ports:
            word = word << widths[port] | beat[port]
        yield word


def _source(widths: Widths, beats: Iterable[Beat]) -> str:
    ports = _payload("s_axis", widths)
    signals = "\n".join(f"  reg {_range(widths[port])}{port};" for port in ports)
    return f"""
  // What goes in.
{_memory("s_axis", ports, widths, beats)}
{signals}
  reg s_axis_tvalid = 0;
  wire s_axis_tready;
  wire s_axis_moves = s_axis_tvalid & s_axis_tready;
  wire s_axis_done = s_axis_run == S_AXIS_RUNS && !s_axis_tvalid;
  always @(posedge aclk)
    if (aresetn && (!s_axis_tvalid || s_axis_tready)) begin
      s_axis_tvalid <= 0;
      if (s_axis_run < S_AXIS_RUNS && !source_stalls) begin
        {{{", ".join(ports)}}} <= s_axis_beats[s_axis_run];
        s_axis_tvalid <= 1;
        s_axis_run <= s_axis_run + s_axis_run_ends;
        s_axis_repeat <= s_axis_run_ends ? 0 : s_axis_repeat + 1;
      end
    end
"""


def _sink(stream: str, widths: Widths, beats: Iterable[Beat], random_bit: int) -> str:
    ports = _payload(stream, widths)
    found, expected = ", ".join(ports), ", ".join(f"{port}_expected" for port in ports)
    wires = "\n".join(f"  wire {_range(widths[port])}{port}, {port}_expected;" for port in ports)
    shown = ", ".join(f"{port} %h" for port in ports)
    place = f"{stream}_row, {stream}_beat"
    last = f"{stream}_tlast" if f"{stream}_tlast" in ports else "1'b1"
    return f"""
  // What must come out of {stream}.
{_memory(stream, ports, widths, beats)}
{wires}
  assign {{{expected}}} = {stream}_beats[{stream}_run];
  wire {stream}_tvalid;
  reg {stream}_tready = 0, {stream}_waits = 0;
  wire {stream}_moves = {stream}_tvalid & {stream}_tready;
  wire {stream}_done = {stream}_run == {stream.upper()}_RUNS;
  reg [31:0] {stream}_row = 0, {stream}_beat = 0;
  always @(posedge aclk)
    if (aresetn) begin
      {stream}_tready <= !(sinks_wait | sinks_stall & lfsr[{random_bit}]);
      {stream}_waits <= {stream}_tvalid & !{stream}_tready;
      if ({stream}_waits && !{stream}_tvalid) begin
        $display("FAILED row %0d, beat %0d: {stream}_tvalid fell before it was taken", {place});
        $stop;
      end
      if ({stream}_tvalid && {stream}_done) begin
        $display("FAILED: {stream} gives a beat behind the last row");
        $stop;
      end
      if ({stream}_tvalid && !{stream}_done && {{{found}}} !== {stream}_beats[{stream}_run]) begin
        $display("FAILED row %0d, beat %0d of {stream}:", {place});
        $display("  expected {shown}",
                 {expected});
        $display("  found    {shown}",
                 {found});
        $stop;
      end
      if ({stream}_moves) begin
        {stream}_beat <= {last} ? 0 : {stream}_beat + 1;
        {stream}_row <= {stream}_row + {last};
        {stream}_run <= {stream}_run + {stream}_run_ends;
        {stream}_repeat <= {stream}_run_ends ? 0 : {stream}_repeat + 1;
      end
    end
"""
