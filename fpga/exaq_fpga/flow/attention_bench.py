"""What an attention head costs: heads of 4-bit keys and few codes, beside one of INT8 and 16 bits.

Figures are plain dictionaries, to be kept as JSON; the table of docs/attention.md is drawn from
them. Each says which design it is of, so that only what changed is measured again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exaq.attention import AttentionConfig
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow.bench import median_route
from exaq_fpga.flow.mac_bench import versions
from exaq_fpga.flow.synthesis import place, synthesise
from exaq_hdl.attention.attention_head import usual_outputs_per_beat
from exaq_hdl.attention.weighted_sums import WeightedSums, weighted_sums_ports
from exaq_hdl.emit.attention_verilog import emit_attention, emit_level_sums
from exaq_hdl.emit.design_hash import design_hash
from exaq_hdl.emit.names import inner_name
from exaq_hdl.emit.verilog import Emitted, emit_top
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.flat_unit import FlatUnit

DEVICE = DEVICES["ecp5-85"]
#: What the device has of each.
ROOM = {"lut4": 83640, "ff": 83640, "bram": 208, "dsp": 156}
#: What a unit may take to be placed: a device nearly full takes hours for each seed.
MOST = ROOM | {"lut4": 40000}
#: Seeds of place and route. The larger heads take ten minutes and more for each.
SEEDS = (1,)
#: Lanes of most units, and keys at most of all.
LANES, KEYS = 4, 256
TOP = "exaq_attention"
#: Lines of docs/attention.md between which the table stands.
MARKS = ("<!-- heads:begin -->", "<!-- heads:end -->")

# How netlists are made and placed, as of ``synthesis.synthesise`` and ``synthesis.place``. Large
# designs want few control sets, and another placer than nextpnr's usual one, which is slow there.
_FLOW: dict[str, Any] = {"carries": True, "least_control_set": 1, "placer": "heap"}
_LARGE_FLOW: dict[str, Any] = _FLOW | {"least_control_set": 16, "placer": "static"}
# What tells a changed design from an unchanged one is measured on small ones.
_SMALL: dict[str, Any] = {"head_size": 16, "max_row": 32, "lanes": 2}


@dataclass(frozen=True)
class Case:
    """A unit to measure.

    Members
    -------
    name
        In reports.
    settings
        Of ``AttentionConfig``, where they are other than ``LANES`` and ``KEYS``, and its defaults.
    unit
        ``"head"``: the whole, with AXI4-Stream ports. ``"sums"``: what is behind the softmax alone,
        with plain ones.
    options
        Of ``AttentionHead``: what products are made of.
    dsp
        As of ``synthesis.implement``; of the softmax's multipliers, too.
    large
        Whether it is synthesised and placed as large designs are; see ``flow``.
    """

    name: str
    settings: Mapping[str, Any]
    unit: str = "head"
    options: Mapping[str, Any] = field(default_factory=dict)
    dsp: bool = True
    large: bool = False

    def config(self, **changes: Any) -> AttentionConfig:
        """The head's configuration."""
        usual: dict[str, Any] = {"lanes": LANES, "max_row": KEYS}
        return AttentionConfig(**usual | dict(self.settings) | changes)

    def emitted(self, **changes: Any) -> Emitted:
        """The Verilog, whose top is ``TOP``, and its manifest."""
        config = self.config(**changes)
        if self.unit == "head":
            return emit_attention(config, name=TOP, **self.options)
        per_beat = usual_outputs_per_beat(config)
        if config.by_level:
            return emit_level_sums(config, outputs_per_beat=per_beat, top="core", name=TOP)
        return _emit_weighted_sums(config, per_beat, self.options)

    @property
    def flow(self) -> dict[str, Any]:
        """Its netlist's ``carries``, ``least_control_set`` and ``placer``."""
        return _LARGE_FLOW if self.large else _FLOW

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a cycle: with keys, and with values."""
        config = self.config()
        return config.lanes * config.head_size * (2 if self.unit == "head" else 1)

    @property
    def small_sha256(self) -> str:
        """That of the design with few elements, keys and lanes: it is another one if the unit is,
        and takes seconds less.
        """
        return design_hash(self.emitted(**_SMALL).verilog)


def _emit_weighted_sums(
    config: AttentionConfig, per_beat: int, options: Mapping[str, Any]
) -> Emitted:
    memories = Memories(ram_module=inner_name(TOP, "ram"))
    unit = WeightedSums(config, outputs_per_beat=per_beat, memories=memories, **options)
    top = FlatUnit(unit, weighted_sums_ports(config, per_beat))
    manifest = {
        "latency": {"cycles": unit.latency, "counted_from": "the row's last beat"},
        "full_rate_row": unit.steps * config.lanes,
    }
    return emit_top(
        top,
        name=TOP,
        title="Weighted sums",
        settings={},
        describe=lambda design: manifest,
        memories=memories,
    )


def _sums(bits: int) -> Case:
    settings = {"head_size": 64, "bits": bits}
    return Case(f"sums-{bits}bit-64", settings, unit="sums", large=True)


def _levels(keys: str, bits: int, size: int) -> Case:
    return Case(f"{keys}-{bits}bit-{size}", {"head_size": size, "keys": keys, "bits": bits})


def _weighted(size: int) -> dict[str, Any]:
    return {"head_size": size, "keys": "int8", "kernel": "multiply"}


_DSP = {"multipliers": "dsp"}

#: The units of the table, in its order.
CASES = (
    # Small enough to try the bench with.
    Case("dint4-2bit-16", {"head_size": 16, "lanes": 2}),
    # The same size of INT8, of adders, and of multipliers, which the device has for so small a one.
    Case("int8-16", _weighted(16) | {"lanes": 2}, dsp=False),
    Case("int8-16-dsp", _weighted(16) | {"lanes": 2}, options=_DSP),
    _levels("dint4", 2, 32),
    # Keys of 8 bits with the same codes: what of the difference is the keys'.
    _levels("int8", 2, 32),
    replace(_levels("dint4", 2, 64), large=True),
    Case("int8-32", _weighted(32), dsp=False, large=True),
    Case("int8-64", _weighted(64), dsp=False, large=True),
    *(_sums(bits) for bits in (2, 4)),
    Case("sums-int8-64", _weighted(64), unit="sums", dsp=False, large=True),
)
#: Units whose sizes the table compares, the larger one first.
RATIOS = (
    ("int8-16", "dint4-2bit-16"),
    ("int8-32", "dint4-2bit-32"),
    ("int8-32", "int8-2bit-32"),
    ("sums-int8-64", "sums-2bit-64"),
    ("sums-int8-64", "sums-4bit-64"),
)


def measure(
    case: Case, kept: dict[str, Any], step: Callable[[str], None], *, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """Figures of one unit, or ``kept`` where these are of today's design, tools and ``seeds``.

    ``mhz`` is None where the unit takes more than ``MOST``, and is not placed.

    Raises
    ------
    exaq.tool.ToolError
        A tool is missing or fails.
    """
    step("emission")
    emitted = case.emitted()
    now = {
        "design_sha256": design_hash(emitted.verilog),
        "versions": versions(),
        "seeds": list(seeds),
        "flow": case.flow,
    }
    if all(kept.get(name) == value for name, value in now.items()):
        return kept
    figures = now | {
        "small_sha256": case.small_sha256,
        "device": DEVICE.name,
        "config": case.config().to_dict(),
        "options": dict(case.options),
        "latency": emitted.manifest["latency"],
        "full_rate_row": emitted.manifest["full_rate_row"],
    }
    with tempfile.TemporaryDirectory(prefix="exaq-") as name:
        folder = Path(name)
        found = synthesise(
            emitted.verilog,
            TOP,
            DEVICE,
            dsp=case.dsp,
            carries=case.flow["carries"],
            least_control_set=case.flow["least_control_set"],
            folder=folder,
            step=step,
        )
        packed = found.ecp5_size
        figures |= {
            "flags": {"yosys": found.command},
            "gates_in_carry_cells": found.gates,
            "packed": packed,
        }
        if not fits(packed):
            return figures | {"size": packed, "mhz": None}
        result = place(
            found, DEVICE, seeds=seeds, placer=case.flow["placer"], folder=folder, step=step
        )
    route = median_route(result)
    path = [f"{each.delay:.2f} ns {each.kind} to {each.cell}" for each in route.path]
    by_seed = {str(each.seed): each.fmax for each in result.routes}
    return figures | {
        "flags": result.flags,
        "size": result.size,
        "registers_in_block_ram": result.folded,
        "boundary_registers_not_counted": result.boundary,
        "mhz": result.fmax | {"seeds": by_seed},
        "critical_path": {"seed": route.seed, "steps": path},
    }


def fits(size: Mapping[str, int]) -> bool:
    """Whether a unit takes no more than ``MOST``."""
    return all(size[each] <= most for each, most in MOST.items())


def cycles(figures: Mapping[str, Any], keys: int = KEYS) -> int:
    """Cycles from a row of q, or a row's last beat, to its first outputs, of a row of ``keys``."""
    latency = figures["latency"]
    beats = -(-keys // figures["config"]["softmax"]["lanes"])
    return int(latency.get("passes", 0) * beats + latency["cycles"])


def per_mac(case: Case, figures: Mapping[str, Any]) -> float:
    """LUT4 for each multiply-accumulate of a cycle."""
    return float(figures["size"]["lut4"] / case.macs)


def table(report: Mapping[str, Any], study: Mapping[str, Any]) -> str:
    """The Markdown tables of a report, and what their columns mean; of units that it has.

    ``study`` is the report of the study ``heads``, which has the accuracy.
    """
    measured = {case.name: case for case in CASES if report["units"].get(case.name)}
    head = ["unit", "LUT4", "flip-flops", "block RAM", "multipliers", "MHz"]
    head += [f"M keys/s, rows of {KEYS}", f"cycles, row of {KEYS}", "LUT4 per MAC"]
    head += [_accuracy_title(model) for model in study["models"]]
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    for name, case in measured.items():
        figures = report["units"][name]
        mhz = figures["mhz"]
        speed, rate = "not placed", ""
        if mhz is not None:
            speed = f"**{mhz['median']:.0f}**"
            if len(figures["seeds"]) > 1:
                speed += f" ({mhz['min']:.0f} to {mhz['max']:.0f})"
            if figures["full_rate_row"] <= KEYS:
                rate = f"{mhz['median'] * case.config().lanes:.0f}"
        cells = [f"`{name}`: {_title(case)}"]
        cells += [_count(figures, each) for each in ("lut4", "ff", "bram", "dsp")]
        cells += [speed, rate, str(cycles(figures)), f"{per_mac(case, figures):.1f}"]
        cells += [_accuracy(case, model) for model in study["models"]]
        lines.append(f"| {' | '.join(cells)} |")
    for larger, smaller in RATIOS:
        if larger in measured and smaller in measured:
            sizes = [report["units"][each]["size"] for each in (larger, smaller)]
            cells = [f"*`{larger}` over `{smaller}`*"]
            cells += [f"{sizes[0][each] / sizes[1][each]:.2f}" for each in ("lut4", "ff")]
            lines.append(f"| {' | '.join(cells)} |" + " |" * (len(head) - len(cells)))
    return "\n".join([*lines, "", _legend(report)])


def _count(figures: Mapping[str, Any], name: str) -> str:
    count = figures["size"][name]
    return f"{count} of {ROOM[name]}" if count > ROOM[name] else str(count)


def _title(case: Case) -> str:
    config, options = case.config(), dict(case.options)
    made = {"lut": "adders", "dsp": "multipliers"}
    keys = options.get("multipliers", "lut")
    values = options.get("value_multipliers", keys)
    size = f"{config.lanes} lanes of {config.head_size}"
    if config.by_level:
        what = f"{config.softmax.bits}-bit codes"
        name = config.keys.replace("int", "INT")
        return f"{name} keys, {what}, {size}" if case.unit == "head" else f"{what}, {size}"
    what = f"{config.softmax.format.prob_bits}-bit probabilities"
    if case.unit == "sums":
        return f"{what}, {size}, {made[values]}"
    parts = made[keys] if keys == values else f"{made[keys]}, for values {made[values]}"
    return f"INT8 keys, {what}, {size}, {parts}"


def _accuracy_title(model: Mapping[str, Any]) -> str:
    of = "mean cosine" if model["kind"] == "encoder" else "rise of the loss, nats"
    return f"{model['name']}: {of}"


def _accuracy(case: Case, model: Mapping[str, Any]) -> str:
    """Of the study's row that is the case's head, if there is one."""
    config = case.config()
    wanted: dict[str, Any] = {"keys": config.keys}
    if config.by_level:
        wanted |= {"bits": config.softmax.bits, "probabilities": None}
    else:
        wanted |= {"bits": None, "probabilities": config.softmax.format.prob_bits}
    for row in model["rows"] if case.unit == "head" else ():
        if all(row.get(name) == value for name, value in wanted.items()):
            if model["kind"] == "encoder":
                return f"{row['cosine_mean']:.4f}"
            return f"{row['increase']:+.3f} ± {row['increase_error']:.3f}"
    return ""


def _legend(report: Mapping[str, Any]) -> str:
    used = {words for each in report["units"].values() for words in each["versions"].values()}
    seeds = max((len(each["seeds"]) for each in report["units"].values()), default=0)
    fmax = "of one fixed seed" if seeds == 1 else f"the median over {seeds} fixed seeds"
    return (
        f"Measured by `make bench-attention` with {', '.join(sorted(used))}, on {DEVICE.title}: "
        f"rows of up to {KEYS} keys, values of 8 bits, outputs of 16; heads with their AXI4-Stream "
        "ports, keys and values in block RAM, and the softmax between; *sums* are what is behind "
        "the softmax alone. Placed and routed out of context between registers that are not "
        f"counted, Fmax {fmax}, with `carries` of `exaq_fpga.flow.synthesis.synthesise`; large "
        f"ones ({', '.join(f'`{each.name}`' for each in CASES if each.large)}) with "
        f"`least_control_set={_LARGE_FLOW['least_control_set']}` and nextpnr's placer "
        f"{_LARGE_FLOW['placer']} too. What the device has too little "
        f"for, or takes more than {MOST['lut4']} LUT4, is counted as it would be packed, and not "
        "placed. A head has two MACs for each lane and dimension, one with a key and one with a "
        "value; sums have one. Cycles are from a row of q, of sums from the "
        "row's last beat, to the first outputs. Accuracy is that of "
        "[the study of integer heads](accuracy.md#attention-heads-in-integers), whose heads have "
        "the models' own sizes and calibrated tables; an empty cell was not measured."
    )
