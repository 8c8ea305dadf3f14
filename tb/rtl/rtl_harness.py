"""The Verilog between the bench and the unit: few wide signals, since each access costs time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: The harness's module.
HARNESS = "harness"
#: Payload of a beat on ``source_tdata``, the first one lowest; a unit may lack some.
BEAT = ("tdata", "tkeep", "tuser", "tid")
#: What ``seen`` holds of the inside of a unit with contexts: whether a load takes effect.
LOADED = "loaded"

_UNSEEN = ("aclk", *(f"s_axis_{name}" for name in BEAT), "s_axi_awprot", "s_axi_arprot")

_TEXT = """\
module {harness}(
  {ports}
);
  {wires}
  // While no beat is offered, noise lies on the payload: X where the simulator knows it.
  reg [{noise_top}:0] noise;
`ifdef VERILATOR
  integer word;
  always @(negedge aclk)
    for (word = 0; word < {noise_words}; word = word + 1)
      noise[32 * word +: 32] <= $random;
`endif
  assign {{s_axis_tlast, {beat}}} =
    source_tvalid ? {{source_tlast, source_tdata}} : noise[{beat_bits}:0];
  assign s_axis_tvalid = source_tvalid;
  assign source_tready = s_axis_tready;
  assign sink_tvalid = m_axis_tvalid;
  assign sink_tlast = m_axis_tlast;
  assign sink_tdata = 1'b0;
  assign m_axis_tready = sink_tready;
  {results}
  exaq_softmax unit (
    {connections}
  );
  assign seen = {{
    {seen}
  }};
endmodule
"""


_RESULTS = """\
assign rows_tvalid = m_row_tvalid;
  assign rows_tlast = 1'b1;
  assign rows_tdata = 1'b0;
  assign m_row_tready = rows_tready;"""


def seen_fields(ports: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """Name and width of what ``seen`` holds, the first one highest; ``ports`` are a manifest's."""
    fields = [(port["name"], port["width"]) for port in ports if port["name"] not in _UNSEEN]
    contexts = any(name.startswith("s_axi_") for name, _ in fields)
    return [*fields, (LOADED, 1)] if contexts else fields


def harness(ports: Sequence[dict[str, Any]]) -> str:
    """Verilog that holds a unit with these ports, a manifest's.

    Its ports: ``source_*``, a stream whose ``tdata`` is a beat's whole payload, see BEAT;
    ``sink_*``, one for a sink that accepts beats and looks at none, and ``rows_*``, another for row
    results, where the unit gives any; ``seen``, all that the monitor
    looks at; AXI4-Lite, clock and reset as the unit's.
    """
    width = {port["name"]: port["width"] for port in ports}
    beat = [f"s_axis_{name}" for name in BEAT if f"s_axis_{name}" in width]
    bits = sum(width[name] for name in beat)
    words = bits // 32 + 1
    seen = seen_fields(ports)
    streams = [name for name in width if name.startswith(("s_axis_", "m_axis_", "m_row_"))]
    results = "m_row_tvalid" in width
    sinks = ("sink", "rows") if results else ("sink",)
    outer = [
        *(_declared(**port) for port in ports if port["name"] not in streams),
        _declared("source_tdata", "input", bits),
        *(_declared(f"source_{name}", "input", 1) for name in ("tvalid", "tlast")),
        _declared("source_tready", "output", 1),
        *(
            _declared(f"{sink}_{name}", "output", 1)
            for sink in sinks
            for name in ("tdata", "tvalid", "tlast")
        ),
        *(_declared(f"{sink}_tready", "input", 1) for sink in sinks),
        _declared("seen", "output", sum(width for _, width in seen)),
    ]
    return _TEXT.format(
        harness=HARNESS,
        ports=",\n  ".join(outer),
        wires="\n  ".join(f"{_declared(name, 'wire', width[name])};" for name in streams),
        noise_top=32 * words - 1,
        noise_words=words,
        beat=", ".join(reversed(beat)),
        beat_bits=bits,
        results=_RESULTS if results else "",
        connections=",\n    ".join(f".{name}({name})" for name in width),
        seen=",\n    ".join("unit.core.loaded" if name == LOADED else name for name, _ in seen),
    )


def _declared(name: str, direction: str, width: int, description: str = "") -> str:
    return f"{direction} [{width - 1}:0] {name}" if width > 1 else f"{direction} {name}"
