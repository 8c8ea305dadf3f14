"""A FuseSoC core of a unit, CAPI2, with its bench.

exaq generate --core -o softmax.v
fusesoc --cores-root . run --target sim exaq:ip:exaq_softmax
"""

from __future__ import annotations

import json

from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.emit.companions.verilog_bench import bench_name, verilog_bench

# What synthesis is for: the devices of exaq_fpga.boards.devices.
_SYNTHESIS = {
    "ecp5": ("trellis", "[--um-85k, --package, CABGA756, --speed, 6, --lpf-allow-unconstrained]"),
    "ice40": ("icestorm", "[--hx8k, --package, ct256, --pcf-allow-unconstrained]"),
}


def texts(unit: Unit) -> tuple[str, str]:
    """The core, and the bench that its target ``sim`` runs."""
    return fusesoc_core(unit), verilog_bench(unit)


def fusesoc_core(unit: Unit, vlnv: str | None = None) -> str:
    """The core's text.

    Parameters
    ----------
    unit
        One with AXI4-Stream ports that has its memories.
    vlnv
        Vendor, library, name and version. None: those of the unit and the project.
    """
    version = unit.emitted.manifest["versions"]["exaq-softmax"]
    on_fpga = unit.emitted.manifest["target"]["kind"] == "fpga"
    synthesis = _SYNTHESIS if on_fpga else {}
    return "\n".join(
        [
            "CAPI=2:",
            f"# Made by exaq-softmax {version}.",
            f"name: {json.dumps(vlnv or f'exaq:ip:{unit.name}:{version}')}",
            f"description: {json.dumps(f'Streaming softmax, {unit.config.kernel.title}')}",
            "",
            "filesets:",
            "  rtl:",
            f"    files: [{json.dumps(f'{unit.stem}.v')}]",
            "    file_type: verilogSource",
            "  bench:",
            f"    files: [{json.dumps(f'{unit.stem}_tb.v')}]",
            "    file_type: verilogSource",
            "",
            "targets:",
            "  default: &default",
            '    filesets: [rtl, "exaq_bench? (bench)"]',
            f"    toplevel: {unit.name}",
            "  lint:",
            "    <<: *default",
            "    description: Verilator with every warning",
            "    flow: lint",
            "    flow_options: {tool: verilator, verilator_options: [-Wall]}",
            "  sim:",
            "    description: Rows of the golden model in Icarus",
            "    filesets: [rtl, bench]",
            f"    toplevel: {bench_name(unit)}",
            "    flow: sim",
            "    flow_options: {tool: icarus, iverilog_options: [-g2001], vvp_options: [-N]}",
            *(
                line
                for family, (flow, route) in synthesis.items()
                for line in [
                    f"  synth_{family}:",
                    "    <<: *default",
                    f"    flow: {flow}",
                    f"    flow_options: {{arch: {family}, nextpnr_options: {route}}}",
                ]
            ),
            "",
        ]
    )
