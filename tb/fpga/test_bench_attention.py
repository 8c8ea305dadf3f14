"""The figures of attention heads: of today's designs and tools, and on their page."""

from __future__ import annotations

import json
import statistics
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from exaq_cosim import ToolError
from exaq_fpga.flow import attention_bench
from exaq_fpga.flow.attention_bench import (
    CASES,
    KEYS,
    MARKS,
    SEEDS,
    Case,
    cycles,
    fits,
    measure,
    per_mac,
    table,
)
from exaq_fpga.flow.mac_bench import versions
from exaq_hdl.emit.design_hash import design_hash

ROOT = Path(__file__).resolve().parents[2]
REPORT: dict[str, Any] = json.loads((ROOT / "reports/attention.json").read_text(encoding="utf-8"))
STUDY = json.loads((ROOT / "reports/accuracy/study-heads.json").read_text(encoding="utf-8"))
UNITS: dict[str, Any] = REPORT["units"]
BY_NAME = {case.name: case for case in CASES}
CURE = "`make bench-attention` measures again"

SMALL = Case("small", {"head_size": 16, "lanes": 1, "max_row": 8})
SMALL_INT8 = Case(
    "small-int8",
    {"head_size": 16, "lanes": 1, "max_row": 8, "keys": "int8", "kernel": "multiply"},
    options={"multipliers": "dsp"},
)


def silent(what: str) -> None:
    pass


def test_figures_are_of_units_that_there_are() -> None:
    assert UNITS, CURE
    assert list(UNITS) == [name for name in BY_NAME if name in UNITS], CURE


@pytest.mark.parametrize("name", UNITS)
def test_figures_are_of_today(name: str) -> None:
    figures, case = UNITS[name], BY_NAME[name]
    assert figures["small_sha256"] == case.small_sha256, CURE
    assert figures["config"] == json.loads(json.dumps(case.config().to_dict())), CURE
    assert figures["options"] == dict(case.options), CURE
    assert figures["seeds"] == list(SEEDS), CURE
    assert figures["flow"] == case.flow, CURE
    for words in figures["versions"].values():
        package, version = words.split()
        assert metadata.version(package) == version, CURE


@pytest.mark.parametrize("name", UNITS)
def test_figures_agree_with_themselves(name: str) -> None:
    figures = UNITS[name]
    size, mhz = figures["size"], figures["mhz"]
    assert (mhz is not None) == fits(figures["packed"])
    assert per_mac(BY_NAME[name], figures) * BY_NAME[name].macs == pytest.approx(size["lut4"])
    if mhz is None:
        assert size == figures["packed"]
        return
    seeds = list(mhz["seeds"].values())
    assert list(mhz["seeds"]) == [str(seed) for seed in SEEDS]
    assert mhz["median"] == statistics.median(seeds)
    assert (mhz["min"], mhz["max"]) == (min(seeds), max(seeds))
    # So what does not fit is counted right, but for LUTs that nextpnr takes for constants.
    packed = figures["packed"]
    assert 0 <= size["lut4"] - packed["lut4"] < 10
    assert {**size, "lut4": 0} == {**packed, "lut4": 0}


def test_page_shows_the_figures() -> None:
    text = (ROOT / "docs" / "attention.md").read_text(encoding="utf-8")
    begin, end = MARKS
    shown = text.partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
    assert shown == table(REPORT, STUDY), CURE


def test_page_says_how_many_multipliers_the_device_has() -> None:
    text = (ROOT / "docs" / "attention.md").read_text(encoding="utf-8")
    assert f"{attention_bench.ROOM['dsp']} multipliers are soon used up" in text


@pytest.mark.parametrize("model", STUDY["models"], ids=lambda model: model["name"])
def test_page_says_which_head_is_nearer_to_float(model: dict[str, Any]) -> None:
    measure = "cosine_mean" if model["kind"] == "encoder" else "increase"
    costs = {
        (row["keys"], row["bits"], row.get("probabilities")): abs(
            model["float"][measure] - row[measure]
        )
        for row in model["rows"]
    }
    widths = [width for keys, _, width in costs if width]
    for width in widths:
        int8 = costs["int8", None, width]
        assert all(int8 < cost for (_, bits, _), cost in costs.items() if bits == 2)


def test_page_says_when_codes_save_nothing() -> None:
    few, many, weighted = (
        UNITS[name]["size"]["lut4"] for name in ("sums-2bit-64", "sums-4bit-64", "sums-int8-64")
    )
    assert few < weighted < many
    text = (ROOT / "docs" / "attention.md").read_text(encoding="utf-8")
    assert "those of 4 bits take more lookup tables than 16-bit" in text


def test_heads_that_are_compared_differ_in_nothing_else() -> None:
    for case in CASES:
        config = case.config()
        assert config.softmax.format.max_row == KEYS
        assert (config.value_width, config.output_width, config.causal) == (8, 16, False)
    for pair in attention_bench.RATIOS:
        larger, smaller = (BY_NAME[name] for name in pair)
        assert larger.config().head_size == smaller.config().head_size
        assert larger.config().lanes == smaller.config().lanes
        assert larger.unit == smaller.unit
        assert larger.macs == smaller.macs


def test_what_is_kept_is_of_the_same_design_tools_and_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def synthesise(*arguments: Any, **options: Any) -> Any:
        assert options["carries"]
        raise ToolError("measures")

    monkeypatch.setattr(attention_bench, "synthesise", synthesise)
    kept = {
        "design_sha256": design_hash(SMALL.emitted().verilog),
        "versions": versions(),
        "seeds": list(SEEDS),
        "flow": SMALL.flow,
        "mhz": None,
    }
    assert measure(SMALL, kept, silent) is kept
    for name, other in (("design_sha256", ""), ("versions", {}), ("seeds", [7]), ("flow", {})):
        with pytest.raises(ToolError, match="measures"):
            measure(SMALL, kept | {name: other}, silent)


def test_what_does_not_fit_is_counted_and_not_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_bench, "MOST", {"lut4": 10**6, "dsp": 2})
    figures = measure(SMALL_INT8, {}, silent)
    assert figures["mhz"] is None
    assert figures["size"] == figures["packed"]
    # A product of each dimension with a key's and a value's element, and two of the softmax.
    assert figures["size"]["dsp"] == 16 + 16 + 2
    assert figures["size"]["lut4"] > 500
    unit = SMALL_INT8.emitted().manifest
    assert figures["latency"] == unit["latency"]
    # Of 5 keys in as many beats, three passes.
    assert cycles(figures, 5) == 3 * 5 + unit["latency"]["cycles"]


def test_table_says_what_is_there() -> None:
    size = {"lut4": 2560, "ff": 3, "bram": 4, "dsp": 5}
    figures: dict[str, Any] = {
        "config": {"softmax": {"lanes": 4}},
        "versions": {"yosys": "yosys 1"},
        "seeds": [1, 2, 3],
        "latency": {"cycles": 50, "passes": 2, "counted_from": "the row of q"},
        "full_rate_row": 128,
        "size": size,
        "mhz": {"median": 150.0, "min": 140.0, "max": 160.0},
    }
    others = figures | {"size": size | {"lut4": 5120, "dsp": 264}, "mhz": None}
    units = {"dint4-2bit-32": figures, "int8-32": others}
    models = [
        {
            "name": "a",
            "kind": "encoder",
            "rows": [
                {"keys": "dint4", "bits": 2, "cosine_mean": 0.98765},
                {"keys": "int8", "bits": None, "probabilities": 16, "cosine_mean": 0.5},
                {"keys": "int8", "bits": None, "cosine_mean": 0.4},
            ],
        },
        {
            "name": "b",
            "kind": "decoder",
            "rows": [{"keys": "dint4", "bits": 2, "increase": 0.1, "increase_error": 0.02}],
        },
    ]
    lines = table({"units": units}, {"models": models}).splitlines()
    assert lines[2] == (
        "| `dint4-2bit-32`: dINT4 keys, 2-bit codes, 4 lanes of 32 | 2560 | 3 | 4 | 5 "
        "| **150** (140 to 160) | 600 | 178 | 10.0 | 0.9877 | +0.100 ± 0.020 |"
    )
    assert lines[3] == (
        "| `int8-32`: INT8 keys, 16-bit probabilities, 4 lanes of 32, adders "
        "| 5120 | 3 | 4 | 264 of 156 | not placed |  | 178 | 20.0 | 0.5000 |  |"
    )
    assert lines[4].startswith("| *`int8-32` over `dint4-2bit-32`* | 2.00 | 1.00 |")
