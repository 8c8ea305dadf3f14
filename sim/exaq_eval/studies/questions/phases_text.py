"""What the study of the phases says: tables, what they confirm, and its picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from exaq_eval.reports.figures import table
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.subjects.unit_phases import BITS, GROUP, PHASES

Result = dict[str, Any]

#: What the paper's abstract claims: by how much a softmax is accelerated, and how many times as
#: fast its accumulation is.
CLAIMED_SAVING = 0.369
CLAIMED_ACCUMULATION = 4

#: Elements of the row that prose and picture are about, where there is one.
USUAL_ROW = 512

_NAMES = {"exact": "exact", "exaq": "EXAQ"}
_LOOPS = {"exact": "exact loops", "exaq": "EXAQ's loops"}


def body(result: Result) -> list[str]:
    """Claim, tables and what follows, of what ``Phases.run`` returned."""
    blocks = result["blocks"]
    return [
        _claim(),
        _units_method(result["units"]),
        _units_table(result["units"]),
        _equal_lanes(result["units"]),
        _additions(result["units"]),
        _additions_table(result["units"]),
        _in_turn(result["units"]),
        *([_blocks_method(blocks), _blocks_table(blocks), _blocks_words(blocks)] if blocks else []),
        _loops_method(result["loops"]),
        _loops_table(result["loops"]),
        _loops_words(result["loops"]),
        "What follows for the claim:",
        "\n".join(_verdict(result)),
    ]


def saving(before: float, after: float) -> float:
    """Share of the time ``before`` that is saved."""
    return 1 - after / before


def whole(times: Mapping[str, float]) -> float:
    """Time of all phases, one after the other."""
    return sum(times[phase] for phase in PHASES)


def equal_lanes(units: list[Result]) -> list[tuple[Result, Result]]:
    """Exact and EXAQ of equal lanes and rows."""
    return _pairs(units, "lanes")


def equal_additions(units: list[Result]) -> list[tuple[Result, Result]]:
    """Exact and EXAQ of equal rows that take equally many additions a cycle."""
    return _pairs(units, "additions")


def in_turn(exact: Result, exaq: Result, replaced: Iterable[str]) -> float:
    """Share saved where the phases of an exact unit ran one after the other and those ``replaced``
    took the cycles that they take in the unit of EXAQ.
    """
    cycles = exact["cycles"] | {phase: exaq["cycles"][phase] for phase in replaced}
    return saving(whole(exact["cycles"]), whole(cycles))


def _pairs(units: list[Result], key: str) -> list[tuple[Result, Result]]:
    found = {(unit["row"], unit[key]): unit for unit in units if unit["softmax"] == "exaq"}
    return [
        (unit, found[unit["row"], unit[key]])
        for unit in sorted(units, key=lambda unit: (unit[key], unit["row"]))
        if unit["softmax"] == "exact" and (unit["row"], unit[key]) in found
    ]


def _usual(cases: list[Result]) -> int:
    """``USUAL_ROW``, or what comes nearest to it."""
    return min((case["row"] for case in cases), key=lambda row: abs(row - USUAL_ROW))


def _at_usual(pairs: list[tuple[Result, Result]]) -> tuple[Result, Result]:
    """The first pair of the usual row: that of the fewest lanes."""
    usual = _usual([exact for exact, _ in pairs])
    return next(pair for pair in pairs if pair[0]["row"] == usual)


def _claim() -> str:
    return (
        "The abstract of [arXiv 2410.03185](https://arxiv.org/abs/2410.03185) divides a softmax "
        "into exponents, accumulation and normalisation. With codes of 2 bits it promises an "
        f"acceleration of about {CLAIMED_ACCUMULATION} times in the accumulation, since one lookup "
        f"adds up {GROUP} codes, and with faster exponents besides, "
        f"{CLAIMED_SAVING:.1%} in the whole. The abstract and the published code, which is all "
        "that was at hand, do not say on what hardware, against which softmax and on which rows "
        "that was measured, and the code computes in floating point without any such lookup. So "
        "the measurement cannot be repeated; what can be measured is where such savings come from. "
        "The percentage is read as time that is saved. As a rate of 1.369 it would be "
        f"{saving(1 + CLAIMED_SAVING, 1):.1%} of the time."
    )


def _units_method(units: list[Result]) -> str:
    lengths = sorted({unit["row"] for unit in units})
    return (
        "**Units.** The exact unit is this project's kernel `multiply` with the exponential "
        "`split`: for each element an exponential, an addition and a multiplication by the "
        f"reciprocal of the sum. EXAQ has {BITS} bits, and a lookup in LUT_sum for {GROUP} codes. "
        f"Rows of {_listed(lengths)} elements go through each of them alone, in Amaranth's "
        "simulator, a beat of as many elements as there are lanes in each cycle, and come out with "
        "the golden model's bits. A phase counts from the cycle of its first input to that of its "
        "last result, both included, on the streams of the blocks that compute it. The "
        "normalisation has in it what comes before its first product or lookup: a reciprocal, or "
        f"the {1 << BITS} divisions of a row. *Additions* are those a cycle by which the lanes "
        "reach the row's sum; 1 lane is too few for EXAQ's lookup."
    )


def _units_table(units: list[Result]) -> str:
    heads = ("softmax", "lanes", "additions", "row", *PHASES, "whole")
    ordered = sorted(units, key=lambda unit: (unit["row"], unit["lanes"]))
    return table(
        heads,
        (
            [_NAMES[unit["softmax"]], unit["lanes"], unit["additions"], unit["row"]]
            + [unit["cycles"][phase] for phase in (*PHASES, "whole")]
            for unit in ordered
        ),
    )


def _equal_lanes(units: list[Result]) -> str:
    exact, exaq = _at_usual(equal_lanes(units))
    more = [b["cycles"]["whole"] - a["cycles"]["whole"] for a, b in equal_lanes(units)]
    return (
        "In a pipelined unit the phases overlap, so that their cycles do not add up to the whole: "
        f"in the exact unit of {exact['lanes']} lanes the exponentials of a row of {exact['row']} "
        f"leave from cycle {exact['first']['accumulation']} to {exact['last']['exponent']} and "
        f"their sum is there in cycle {exact['last']['accumulation']}. **At equal lanes the lookup "
        "saves no cycle**: both units take one beat a cycle, and the accumulation "
        f"takes {exact['cycles']['accumulation']} cycles in the one and "
        f"{exaq['cycles']['accumulation']} in the other. As a whole EXAQ takes {_range(more)} "
        "cycles more in all of these cases. What a lookup saves there is adders."
    )


def _additions(units: list[Result]) -> str:
    return (
        "At equally many additions a cycle EXAQ takes "
        f"{GROUP} times the lanes, and its accumulation is so many times as fast but for the "
        "latency. The whole is faster too, but a unit of more lanes also finds the maximum, the "
        "exponents and the probabilities of more elements at a time, which no lookup gives it:"
    )


def _additions_table(units: list[Result]) -> str:
    heads = ("additions", "lanes", "row", "accumulation: exact", "EXAQ", "times as fast")
    return table(
        (*heads, "whole: exact", "EXAQ", "less"),
        (
            (
                a["additions"],
                f"{a['lanes']}, {b['lanes']}",
                a["row"],
                a["cycles"]["accumulation"],
                b["cycles"]["accumulation"],
                f"{_gain(a, b):.2f}",
                a["cycles"]["whole"],
                b["cycles"]["whole"],
                f"{saving(a['cycles']['whole'], b['cycles']['whole']):.1%}",
            )
            for a, b in equal_additions(units)
        ),
    )


def _gain(exact: Result, exaq: Result) -> float:
    """How many times as fast EXAQ's accumulation is."""
    return exact["cycles"]["accumulation"] / exaq["cycles"]["accumulation"]


def _in_turn(units: list[Result]) -> str:
    exact, exaq = _at_usual(equal_additions(units))
    alone = in_turn(exact, exaq, ["accumulation"])
    both = in_turn(exact, exaq, ["exponent", "accumulation"])
    return (
        "A machine that runs the phases one after the other, as a processor does, can be put "
        f"together from these cycles. Where that takes the exact unit's cycles of {exact['lanes']} "
        f"lane and a row of {exact['row']}, but for the accumulation those of EXAQ with "
        f"{exaq['lanes']}, it saves {alone:.1%}; with the exponents of EXAQ too, {both:.1%}. So "
        f"{CLAIMED_SAVING:.1%} is about what {len(PHASES)} phases of equal length save where two "
        f"of them become {CLAIMED_ACCUMULATION} times as fast, which is "
        f"{2 / len(PHASES) * saving(CLAIMED_ACCUMULATION, 1):.1%}. That says what would give such "
        "a figure, not how it was found."
    )


def _blocks_method(blocks: list[Result]) -> str:
    first = blocks[0]
    return (
        f"LUT4 of the blocks of each phase on {first['title']}, after synthesis alone "
        f"({first['yosys']}), modules kept apart, so that their sum is above what a unit takes; "
        "with block RAMs (R) and multipliers (M). Masks are in the exponent of the exact unit and "
        "in the accumulation of EXAQ, which takes the exponentials of masked lanes off again. "
        "*Rest* is what both have: the receiver and the queues."
    )


def _blocks_table(blocks: list[Result]) -> str:
    return table(
        ("softmax", "lanes", "additions", *PHASES, "rest"),
        (
            [_NAMES[block["softmax"]], block["lanes"], block["additions"]]
            + [_size(block["sizes"][part]) for part in (*PHASES, "rest")]
            for block in blocks
        ),
    )


def _size(size: Mapping[str, int]) -> str:
    parts = [str(size["lut4"])]
    parts += [f"{size[key]} {mark}" for key, mark in (("bram", "R"), ("dsp", "M")) if size[key]]
    return " + ".join(parts)


def _blocks_words(blocks: list[Result]) -> str:
    found = {(block["softmax"], block["lanes"]): block["sizes"] for block in blocks}
    said = []
    for softmax, lanes in found:
        if softmax == "exact" and ("exaq", lanes) in found:
            exact, exaq = found["exact", lanes], found["exaq", lanes]
            said.append(
                f"with {lanes} lanes the accumulation of EXAQ takes "
                f"{exaq['accumulation']['lut4']} LUT4 and {exaq['accumulation']['bram']} block "
                f"RAM in place of {exact['accumulation']['lut4']} LUT4, and the exponent "
                f"{exaq['exponent']['lut4']} LUT4 in place of {exact['exponent']['lut4']} and "
                f"{exact['exponent']['dsp']} multipliers"
            )
    for softmax, lanes in found:
        if softmax == "exact" and ("exaq", lanes * GROUP) in found:
            exact, exaq = found["exact", lanes], found["exaq", lanes * GROUP]
            said.append(
                f"at {lanes} addition{'s'[: lanes - 1]} a cycle it takes "
                f"{exaq['accumulation']['lut4']} LUT4 and {exaq['accumulation']['bram']} block RAM "
                f"for {lanes * GROUP} lanes, and {exact['accumulation']['lut4']} LUT4 for {lanes}"
            )
    words = "; ".join(said)
    return f"{words[0].upper()}{words[1:]}." if said else ""


def _loops_method(loops: Result) -> str:
    scalar, vector = loops["builds"]
    return (
        "**Loops.** The same phases as loops in C++ over rows of 32-bit floating-point logits: "
        "exact with `expf`, a sum, a division a row and a product an element; EXAQ with three "
        "comparisons that make a code, four codes packed into an octet, a lookup of each octet in "
        "a LUT_sum of 256 entries, four divisions a row and a lookup of each code. Their results "
        "are compared with a softmax in float64 and with the golden model's codes, sums and "
        f"probabilities. *{scalar['name'].capitalize()}* is element by element "
        f"(`{' '.join(scalar['flags'][:-1])}`); *{vector['name']}* is with the compiler's vector "
        f"instructions (`{' '.join(vector['flags'][:-1])}`; the last lets it add up in another "
        "order, and take several exponentials at once), for which two of EXAQ's loops are written "
        "in another form. Each loop is timed by itself, nanoseconds an element, one "
        f"thread, rows of {loops['elements']} elements in all, which stay in the caches. Loops "
        f"take turns; of {loops['repeats']} turns the median counts, and of {loops['rounds']} such "
        f"medians the least, since other work on the machine made some up to {loops['spread']:.1f} "
        f"times as long. This is one processor ({loops['processor']}, {loops['compiler']}): its "
        "ratios count, not its times."
    )


def _loops_table(loops: Result) -> str:
    return table(
        ("build", "row", "softmax", *PHASES, "sum", "less"),
        (
            [case["build"], case["row"], _NAMES[softmax]]
            + [f"{case[softmax][phase]:.3f}" for phase in PHASES]
            + [f"{whole(case[softmax]):.3f}", "" if softmax == "exact" else f"{_saved(case):.1%}"]
            for case in loops["cases"]
            for softmax in ("exact", "exaq")
        ),
    )


def _saved(case: Result) -> float:
    return saving(whole(case["exact"]), whole(case["exaq"]))


def _saved_of_four_sums(case: Result) -> float:
    """As ``_saved``, of exact loops that add up by four sums in turn."""
    exact = case["exact"] | {"accumulation": case["four sums"]}
    return saving(whole(exact), whole(case["exaq"]))


def _of(loops: Result, build: str) -> list[Result]:
    return [case for case in loops["cases"] if case["build"] == build]


def accumulation_gains(cases: list[Result], *, four_sums: bool = False) -> list[float]:
    """How many times as fast EXAQ's accumulation is, against one running sum or four."""
    return [
        (case["four sums"] if four_sums else case["exact"]["accumulation"])
        / case["exaq"]["accumulation"]
        for case in cases
    ]


def _loops_words(loops: Result) -> str:
    scalar, vector = (_of(loops, build["name"]) for build in loops["builds"])
    shares = [case["exact"]["accumulation"] / whole(case["exact"]) for case in loops["cases"]]
    exponents = [
        (case["exact"]["exponent"] - case["exaq"]["exponent"])
        / (whole(case["exact"]) - whole(case["exaq"]))
        for case in scalar
    ]
    return (
        "In the scalar loops EXAQ's accumulation is "
        f"{_range(accumulation_gains(scalar), '.1f')} times as fast. That is more than the four "
        "codes of a lookup, since each floating-point addition waits for the one before it, and "
        "integers need not wait so long; an exact loop with four sums in turn, which breaks that "
        f"chain, leaves {_range(accumulation_gains(scalar, four_sums=True), '.1f')} times, and of "
        f"the whole EXAQ then takes {_range(map(_saved_of_four_sums, scalar), '.0%')} less. With "
        f"vector instructions it is {_range(accumulation_gains(vector), '.1f')} times as fast: "
        "they add several elements at once, and help lookups little. The accumulation is "
        f"{_range(shares, '.0%')} of an exact softmax here, so no faster accumulation could save "
        "more than that. Of what EXAQ saves in the scalar loops, "
        f"{_range(exponents, '.0%')} comes from comparisons in place of exponentials."
    )


def _verdict(result: Result) -> list[str]:
    units, loops = result["units"], result["loops"]
    scalar, vector = (_of(loops, build["name"]) for build in loops["builds"])
    gains = [_gain(*pair) for pair in equal_additions(units)]
    needed = CLAIMED_SAVING / saving(CLAIMED_ACCUMULATION, 1)
    return [
        "- Confirmed: a lookup of four codes takes the place of four additions. At equally many "
        f"additions a cycle a unit's accumulation is {_range(gains, '.1f')} times as fast, more so "
        "the longer the row.",
        "- Confirmed in kind: element by element the loops of EXAQ take "
        f"{_range(map(_saved, scalar), '.0%')} less time than exact ones, and "
        f"{_range(map(_saved_of_four_sums, scalar), '.0%')} less than exact ones that add up by "
        f"four sums in turn; the paper has {CLAIMED_SAVING:.1%}. Most of it is the exponent's.",
        "- Not confirmed with vector instructions: there the whole takes "
        f"{_range(map(_saved, vector), '.0%')} less time, "
        f"and the accumulation is {_range(accumulation_gains(vector), '.1f')} times as fast, not "
        f"{CLAIMED_ACCUMULATION}.",
        "- Not confirmed for units of equal lanes: they save adders, exponentials and multipliers, "
        "and no time.",
        f"- Not from the accumulation alone: {CLAIMED_ACCUMULATION} times as fast, it would have "
        f"to be {needed:.0%} of the exact time to save {CLAIMED_SAVING:.1%}.",
        "- Open: the hardware, the rows and the exact softmax of the paper's own measurement.",
    ]


def _range(values: Iterable[float], form: str = "") -> str:
    """Least and most, or the one where they read alike."""
    ordered = sorted(values)
    ends = dict.fromkeys(format(value, form) for value in (ordered[0], ordered[-1]))
    return " to ".join(ends)


def _listed(values: list[int]) -> str:
    return " and ".join(filter(None, [", ".join(map(str, values[:-1])), str(values[-1])]))


def draw(result: Result, path: Path) -> None:
    """When each phase of a unit runs, and how long it takes in the loops."""
    usual, lanes = _usual(result["units"]), _at_usual(equal_lanes(result["units"]))[0]["lanes"]
    shown = [unit for unit in result["units"] if unit["row"] == usual and unit["lanes"] <= lanes]
    loops, length = result["loops"], _usual(result["loops"]["cases"])
    cases = [case for case in loops["cases"] if case["row"] == length]
    with panels(path, 1, 2, width=4.4, height=3.0) as ((left, right),):
        ticks: dict[str, float] = {}
        for number, unit in enumerate(shown):
            for place, (phase, colour) in enumerate(zip(PHASES, COLOURS, strict=False)):
                span = unit["first"][phase], unit["cycles"][phase]
                left.broken_barh([span], (number + 0.2 * place - 0.4, 0.18), color=colour)
            label = f"{_NAMES[unit['softmax']]}, {unit['lanes']} lane{'s'[: unit['lanes'] - 1]}"
            ticks[label] = number
        left.set(xlabel=f"cycle, a row of {usual} alone", title="Units")
        bars: dict[str, float] = {}
        for number, (case, softmax) in enumerate((c, s) for c in cases for s in _LOOPS):
            begin = 0.0
            for phase, colour in zip(PHASES, COLOURS, strict=False):
                label = phase if not number else "_"
                right.barh(
                    number, case[softmax][phase], left=begin, color=colour, height=0.6, label=label
                )
                begin += case[softmax][phase]
            bars[f"{_NAMES[softmax]}, {case['build']}"] = number
        right.set(xlabel=f"ns an element, rows of {length}", title="Loops")
        for axes, places in ((left, ticks), (right, bars)):
            axes.set_yticks(list(places.values()), list(places))
            axes.invert_yaxis()
            axes.grid(visible=False, axis="y")
        legend(right, loc="lower right")
