"""What ``exaq asic`` prints of its report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def asic_summary(report: dict[str, Any]) -> Iterator[str]:
    """Lines for each corner of a report of ``exaq_asic.flow.measure``."""
    config, recipe = report["config"], report["recipe"]
    gated = ", clock gates" if recipe["clock_gate"] else ""
    yield f"Mapped         for {recipe['goal']}{gated}, by {report['versions']['yosys']}"
    for corner in report["corners"]:
        yield from _corner(corner, config["lanes"])


def _corner(corner: dict[str, Any], lanes: int) -> Iterator[str]:
    library, area, timing = corner["library"], corner["area"], corner["timing"]
    yield f"Library        {library['name']} ({library['file']}), {library['voltage']:g} V"
    yield (
        f"Cell area      {area['um2']:,.0f} um2, {area['um2'] / lanes:,.0f} a lane, and "
        f"{area['memory_flops_um2']:,.0f} um2 of flops that are small memories; "
        f"{area['nand2']:,.0f} NAND2 equivalents; {area['flops']} flops, "
        f"{area['clock_gates']} clock gates"
    )
    energy = corner["energy"]
    full = {} if energy is None else energy["loads"]["full rate"]["by_block"]
    for block, um2 in sorted(area["by_block"].items(), key=lambda each: -each[1]):
        of_energy = f", {full[block]:6.2f} pJ an element" if block in full else ""
        # Memories are beside the cell area.
        share = "     " if block == "memory_flops" else f"{um2 / area['um2']:5.0%}"
        yield f"  {block:14} {um2:9,.0f} um2,{share}{of_energy}"
    yield f"Memories       {_memories(corner['memories'])}"
    rate = timing["mhz"] * 1e6 * lanes
    arrays = ", ".join(
        f"{size} {nanoseconds:g} ns" for size, nanoseconds in timing["array_nanoseconds"].items()
    )
    yield (
        f"Slowest path   {timing['nanoseconds']:.3f} ns, {timing['mhz']:.0f} MHz by "
        f"{timing['by']}; arrays {arrays or 'not seen'}; no wires, an ideal clock"
    )
    yield (
        f"Rate           {rate / 1e6:,.0f} M elements/s; "
        f"{area['um2'] / (rate / 1e6):.1f} um2 for each M elements/s"
    )
    gates = corner["gates"]
    if gates is None:
        yield "Gates          not simulated, so nothing is known of their bits and their energy"
        return
    yield (
        f"Gates          the golden model's bits in {gates['rows']} rows of {gates['elements']:,} "
        f"elements, with stalls and {gates['resets']} resets"
    )
    for name, figures in energy["loads"].items():
        kinds = ", ".join(f"{kind} {value:.2f}" for kind, value in figures["by_kind"].items())
        yield f"Energy         {figures['pj_per_element']:.2f} pJ an element at {name}: {kinds}"
    of_macros = full and energy["loads"]["full rate"]["array_pj_per_element"]
    if of_macros is not None and of_macros != {}:
        yield f"               besides {of_macros:.2f} pJ an element in the macros at full rate"
    yield (
        f"               wires of {energy['conditions']['wire_femtofarads']:g} fF a pin; left out: "
        f"{energy['left_out']}"
    )


def _memories(memories: list[dict[str, Any]]) -> str:
    bits = sum(each["bits"] for each in memories)
    told = f"{bits:,} bits in {len(memories)} arrays, not in the cell area"
    if memories and all("um2" in each for each in memories):
        return f"{told}; {sum(each['um2'] for each in memories) / 1e6:.3f} mm2 of macros"
    return f"{told}; no macros given"
