"""A self-checking bench of a unit in Verilog-2001, whose rows come from the golden model.

    exaq generate --core -o softmax.v
    iverilog -g2001 -o softmax.vvp softmax_tb.v softmax.v
    vvp -N softmax.vvp
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from itertools import groupby

from exaq_hdl.emit.companions.bench_rows import (
    Beat,
    beats_in,
    beats_out,
    bench_rows,
    result_beat,
)
from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.emit.names import inner_name

# Ports of a stream that are no part of what a beat holds.
_HANDSHAKE = ("tvalid", "tready")


def bench_name(unit: Unit) -> str:
    """The bench's module."""
    return inner_name(unit.name, "tb")


def verilog_bench(unit: Unit) -> str:
    """The bench of an AXI4-Stream top that has its memories."""
    config, manifest = unit.config, unit.emitted.manifest
    rows = bench_rows(config)
    wanted = {"m_axis": [beat for row in rows for beat in beats_out(row, config)]}
    if config.row_results != "none":
        wanted["m_row"] = [result_beat(row, config) for row in rows]
    sent = [beat for row in rows for beat in beats_in(row, config)]
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    streams = [
        _source(widths, sent),
        *(_sink(stream, widths, beats) for stream, beats in wanted.items()),
    ]
    quiet = manifest.get("contexts", {}).get("cycles_after_reset", 0)
    text = resources.files(__package__).joinpath("bench.v").read_text(encoding="utf-8")
    for mark, value in {
        "NAME": unit.name,
        "BENCH": bench_name(unit),
        "VERSION": manifest["versions"]["exaq-softmax"],
        "/* ROWS */": len(rows),
        # Twice what a longest row needs, for stalls, and all its divisions one after another.
        "/* LIMIT */": 2 * (4 * config.beats + 4096) + quiet,
        "/* STREAMS */": "\n".join(streams).strip(),
        "/* PORTS */": _connections(manifest["ports"]),
        "/* MOVED */": " | ".join(f"{each}_moves" for each in ("s_axis", *wanted)),
        "/* DONE */": " & ".join(f"{each}_done" for each in ("s_axis", *wanted)),
    }.items():
        text = text.replace(mark, str(value))
    return text


def _connections(ports: Sequence[dict[str, str]]) -> str:
    """Ports of streams to signals of their names; those of registers are at rest."""
    parts = []
    for port in ports[2:]:
        name = port["name"]
        if not name.startswith("s_axi_"):
            parts.append(f".{name}({name})")
        else:
            rest = f"{{{port['width']}{{1'b0}}}}" if port["direction"] == "input" else ""
            parts.append(f".{name}({rest})")
    return ",\n    ".join(parts)


def _payload(stream: str, widths: dict[str, int]) -> list[str]:
    """Ports of a beat, the first one highest in its word."""
    signals = {f"{stream}_{each}" for each in _HANDSHAKE}
    return [name for name in widths if name.startswith(f"{stream}_") and name not in signals]


def _memory(name: str, ports: Sequence[str], widths: dict[str, int], beats: Iterable[Beat]) -> str:
    """A memory of beats, with how often each comes in a row, in ``name`` and ``name``_times."""
    width = sum(widths[port] for port in ports)
    runs = [(beat, len(list(run))) for beat, run in groupby(_words(ports, widths, beats))]
    lines = [
        f"  localparam {name.upper()}_LAST = {len(runs)};",
        f"  reg [{width - 1}:0] {name} [0:{len(runs) - 1}];",
        f"  reg [31:0] {name}_times [0:{len(runs) - 1}];",
        "  initial begin",
        *(
            f"    {name}[{at}] = {width}'h{word:x}; {name}_times[{at}] = {times};"
            for at, (word, times) in enumerate(runs)
        ),
        "  end",
    ]
    return "\n".join(lines)


def _words(
    ports: Sequence[str], widths: dict[str, int], beats: Iterable[Beat]
) -> Iterable[int]:
    for beat in beats:
        word = 0
        for port in ports:
            word = word << widths[port] | beat[port]
        yield word


def _source(widths: dict[str, int], beats: Iterable[Beat]) -> str:
    ports = _payload("s_axis", widths)
    signals = "\n".join(f"  reg {_range(widths[port])}{port};" for port in ports)
    return f"""
  // What is sent.
{_memory("s_axis_sent", ports, widths, beats)}
{signals}
  reg s_axis_tvalid = 0;
  wire s_axis_tready;
  wire s_axis_moves = s_axis_tvalid & s_axis_tready;
  reg [31:0] s_axis_at = 0, s_axis_time = 0;
  wire s_axis_done = s_axis_at == S_AXIS_SENT_LAST && !s_axis_tvalid;
  always @(posedge aclk)
    if (aresetn && (!s_axis_tvalid || s_axis_tready)) begin
      s_axis_tvalid <= 0;
      if (s_axis_at < S_AXIS_SENT_LAST && !source_stalls) begin
        {{{", ".join(ports)}}} <= s_axis_sent[s_axis_at];
        s_axis_tvalid <= 1;
        s_axis_time <= s_axis_time + 1;
        if (s_axis_time + 1 == s_axis_sent_times[s_axis_at]) begin
          s_axis_at <= s_axis_at + 1;
          s_axis_time <= 0;
        end
      end
    end
"""


def _sink(stream: str, widths: dict[str, int], beats: Iterable[Beat]) -> str:
    ports = _payload(stream, widths)
    wires = "\n".join(f"  wire {_range(widths[port])}{port}, {port}_wanted;" for port in ports)
    wanted = ", ".join(f"{port}_wanted" for port in ports)
    shown = ", ".join(f"{port} %h" for port in ports)
    last = f"{stream}_tlast" if f"{stream}_tlast" in ports else "1'b1"
    return f"""
  // What must come out of {stream}.
{_memory(f"{stream}_given", ports, widths, beats)}
{wires}
  wire {stream}_tvalid;
  reg {stream}_tready = 0, {stream}_waits = 0;
  wire {stream}_moves = {stream}_tvalid & {stream}_tready;
  reg [31:0] {stream}_at = 0, {stream}_time = 0, {stream}_row = 0, {stream}_beat = 0;
  wire {stream}_done = {stream}_at == {stream.upper()}_GIVEN_LAST;
  assign {{{wanted}}} = {stream}_given[{stream}_at];
  always @(posedge aclk)
    if (aresetn) begin
      {stream}_tready <= !sink_stalls;
      {stream}_waits <= {stream}_tvalid & !{stream}_tready;
      if ({stream}_waits && !{stream}_tvalid) begin
        $display("FAILED row %0d, beat %0d: {stream}_tvalid fell before the beat was taken",
                 {stream}_row, {stream}_beat);
        $stop;
      end
      if ({stream}_tvalid && {stream}_done) begin
        $display("FAILED: {stream} gives a beat behind the last row");
        $stop;
      end
      if ({stream}_tvalid && !{stream}_done
          && {{{", ".join(ports)}}} !== {stream}_given[{stream}_at]) begin
        $display("FAILED row %0d, beat %0d:", {stream}_row, {stream}_beat);
        $display("  expected {shown}", {wanted});
        $display("  found    {shown}", {", ".join(ports)});
        $stop;
      end
      if ({stream}_moves) begin
        {stream}_beat <= {last} ? 0 : {stream}_beat + 1;
        {stream}_row <= {stream}_row + {last};
        {stream}_time <= {stream}_time + 1;
        if ({stream}_time + 1 == {stream}_given_times[{stream}_at]) begin
          {stream}_at <= {stream}_at + 1;
          {stream}_time <= 0;
        end
      end
    end
"""


def _range(width: int) -> str:
    return "" if width == 1 else f"[{width - 1}:0] "
