"""Text of the study on LUT_sum: tables, and what they say."""

from __future__ import annotations

from typing import Any

from exaq_eval.reports.figures import number, table


def body(result: dict[str, Any]) -> list[str]:
    """Markdown paragraphs of the figures of ``LutSize.run``; without units, of loops alone."""
    units = result["units"]
    parts = [make(units) for make in (_units_method, _units_table, _units_conclusion) if units]
    return [*parts, *_processor_parts(result["processor"])]


def series(units: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Units of each device, by what people call it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for unit in units:
        found.setdefault(unit["title"].split()[0], []).append(unit)
    return list(found.items())


def _units_method(units: list[dict[str, Any]]) -> str:
    versions = sorted({text for unit in units for text in unit["versions"].values()})
    seeds = len(units[0]["mhz"]["seeds"])
    first = units[0]
    return (
        f"Codes of {first['bits']} bits, 3, 4, 5 and 6 of them to a lookup; int8 logits, rows of "
        f"up to {first['max_row']} elements. No small number of lanes is a whole number of groups "
        "of each, so figures are given a lane too; they contain the fixed part, dividers and "
        "control, the more the fewer the lanes. "
        f"Placed and routed as `exaq bench` does it, Fmax the median over {seeds} seeds "
        f"({', '.join(versions)})."
    )


def _units_table(units: list[dict[str, Any]]) -> str:
    return table(
        (
            "device",
            "entries",
            "lanes",
            "lookups a beat",
            "LUT4",
            "LUT4 a lane",
            "block RAM",
            "MHz",
            "elements a cycle",
            "M elements/s",
            "M elements/s a lane",
        ),
        (
            (
                unit["title"],
                unit["entries"],
                unit["lanes"],
                unit["lookups_per_beat"],
                unit["lut4"],
                f"{unit['lut4'] / unit['lanes']:.0f}",
                unit["bram"],
                f"{unit['mhz']['median']:.0f}",
                number(unit["elements_per_cycle"]),
                f"{unit['elements_per_second'] / 1e6:.0f}",
                f"{unit['elements_per_second'] / unit['lanes'] / 1e6:.0f}",
            )
            for unit in units
        ),
    )


def _units_conclusion(units: list[dict[str, Any]]) -> str:
    """What the units say, series by series; every number is computed from them."""
    said = []
    for label, of_label in series(units):
        # The smallest and the largest table among equally many lanes.
        most = max(unit["lanes"] for unit in of_label)
        ends = sorted((u for u in of_label if u["lanes"] == most), key=lambda u: u["entries"])
        small, large = ends[0], ends[-1]
        clocks = [unit["mhz"]["median"] for unit in of_label]
        said.append(
            f"{label}: with {most} lanes, {large['entries']} entries in place of "
            f"{small['entries']} take {large['lut4']} LUT4 in place of {small['lut4']}, and "
            f"{large['bram']} block RAMs in place of {small['bram']}; "
            f"{min(clocks):.0f} to {max(clocks):.0f} MHz over all sizes"
        )
    return (
        ". ".join(said) + ". LUT_sum is looked up in a pipeline, so its size does not set the "
        "clock beyond what places and routes differ by, and a beat takes its lanes whatever the "
        "table: in hardware a larger LUT_sum spares adders, which weigh no more than these figures "
        "show, and pays in block RAM. "
        "That is the reverse of a processor, where each lookup takes time."
    )


def _processor_parts(processor: dict[str, Any]) -> list[str]:
    kinds = [("NumPy", processor["numpy"])]
    if processor["compiled"]:
        kinds.append(("C", processor["compiled"]))
    caches = ", ".join(f"{name} {_size(size)}" for name, size in processor["caches"].items())
    return [
        f"On a processor{f' (data caches: {caches})' if caches else ''}, the same lookups: "
        f"{processor['lookups']} random addresses that lie in memory one after the other, entries "
        f"of 4 bytes, one thread, best of {processor['repeat']} runs that took turns. Time of a "
        "lookup over that of 64 entries, and codes of 2 bits added up in a given time over that of "
        "one code a lookup; packing codes into addresses is not counted. The last tables are "
        "larger than any LUT_sum of the unit, to show where the caches end; how the largest fare "
        "depends on what else the machine does:",
        table(
            (
                "codes a lookup",
                "entries",
                "size",
                *(f"{kind}: {what}" for kind, _ in kinds for what in ("time", "codes in a time")),
            ),
            (
                (
                    loops[0]["group"],
                    loops[0]["entries"],
                    _size(loops[0]["bytes"]),
                    *(
                        f"{loop[key]:.2f}"
                        for loop in loops
                        for key in ("time_per_lookup", "elements_per_time")
                    ),
                )
                for loops in zip(*(each for _, each in kinds), strict=True)
            ),
            left=0,
        ),
        " ".join(_processor_conclusion(kind, loops) for kind, loops in kinds),
    ]


def _processor_conclusion(kind: str, loops: list[dict[str, Any]]) -> str:
    best = max(loops, key=lambda loop: loop["elements_per_time"])
    four = next(loop for loop in loops if loop["group"] == 4)
    return (
        f"{kind}: four codes a lookup (256 entries) are {four['elements_per_time']:.1f} times as "
        f"fast as one, {best['group']} codes ({best['entries']} entries) the fastest with "
        f"{best['elements_per_time']:.1f} times; with {loops[-1]['entries']} entries a lookup "
        f"takes {loops[-1]['time_per_lookup']:.0f} times as long as with 64."
    )


def _size(count: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:g} {unit}"
    return f"{count} B"
