"""``exaq simulate`` as a user calls it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exaq
import exaq_cli.commands.unit.simulate
import exaq_cosim.simulation
from exaq import SoftmaxConfig, TableFile, Tables, TableSet
from exaq_cli.main import main

CONFIG = SoftmaxConfig()
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``exaq simulate`` in an empty folder: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["simulate", *map(str, args)])
        captured = capsys.readouterr()
        return int(str(ended.value.code)), captured.out, captured.err

    return call


def save(name: str, array: Any) -> np.ndarray[Any, Any]:
    np.save(name, array)
    return np.asarray(array)


def logits(*shape: int) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def vcd_transfers(path: str) -> tuple[set[str], int, int]:
    """Names of all signals, and beats in and out, read off the waves at rising clock edges."""
    header, _, body = Path(path).read_text().partition("$enddefinitions $end")
    variables = re.findall(r"\$var\s+\w+\s+\d+\s+(\S+)\s+(\S+)", header)
    code = {name: identifier for identifier, name in reversed(variables)}
    value: dict[str, str] = {}
    before: dict[str, str] = {}
    beats = [0, 0]
    for line in [*body.split("\n"), "#"]:
        if line.startswith("#"):
            if before.get(code["aclk"]) == "0" and value[code["aclk"]] == "1":
                for side, letter in enumerate("sm"):
                    pair = (f"{letter}_axis_tvalid", f"{letter}_axis_tready", "aresetn")
                    beats[side] += all(before[code[name]] == "1" for name in pair)
            before = dict(value)
        elif line[:1] in ("0", "1"):
            value[line[1:]] = line[0]
        elif line[:1] == "b":
            bits, _, identifier = line[1:].partition(" ")
            value[identifier] = bits
    return set(code), beats[0], beats[1]


@pytest.mark.simulator
def test_integers_end_to_end(run: Run) -> None:
    x = save("logits.npy", logits(6, 50, 96))
    code, out, err = run("logits.npy", "-o", "probs.npy", "--json", "run.json")
    assert (code, err) == (0, "")
    probabilities = np.load("probs.npy")
    expected = exaq.softmax(x, CONFIG)
    assert probabilities.dtype == expected.dtype
    np.testing.assert_array_equal(probabilities, expected)
    figures = json.loads(Path("run.json").read_text())
    assert SoftmaxConfig.from_dict(figures["config"]) == CONFIG
    assert figures["engine"] == "rtl"
    assert (figures["rows"], figures["elements"]) == (300, x.size)
    assert figures["beats_in"] == figures["beats_out"] == x.size // 4
    assert (figures["mismatches"], figures["row_errors"]) == (0, 0)
    assert figures["cycles_per_row"] == figures["cycles"] / 300
    assert figures["elements_per_cycle"] == x.size / figures["cycles"]
    assert (figures["stall"], figures["seed"]) == (0, 0)
    assert figures["elements_per_second"] == pytest.approx(x.size / figures["seconds"])
    for spread in ("latency", "row_cycles", "row_interval"):
        assert figures[spread]["min"] <= figures[spread]["median"] <= figures[spread]["max"]
    for line in (
        "Rows                300",
        "Elements            28,800",
        f"Cycles              {figures['cycles']:,}",
        "Mismatches          0 against the golden model",
        "Stall               0 on either side, seed 0",
        "Written             probs.npy, run.json",
    ):
        assert line in out.splitlines()
    assert files() == ["logits.npy", "probs.npy", "run.json"]


@pytest.mark.simulator
def test_floats_lengths_masks_and_stalls(run: Run) -> None:
    rng = np.random.default_rng(2)
    x = save("logits.npy", rng.normal(0, 3, (40, 33)).astype(np.float32))
    lengths = save("lengths.npy", rng.integers(1, 34, 40))
    mask = save("mask.npy", rng.random((40, 33)) < 0.7)
    code, _, err = run(
        *("logits.npy", "-o", "probs.npy", "--float-output", "--lengths", "lengths.npy"),
        *("--mask", "mask.npy", "--stall", 0.4, "--seed", 9, "--json", "run.json"),
    )
    assert (code, err) == (0, "")
    live = mask & (np.arange(33) < lengths[:, None])
    steps = np.clip(np.rint(x.astype(np.float64) * 16), -128, 127).astype(np.int8)
    expected = exaq.softmax(steps, CONFIG, live) / 2.0**16
    probabilities = np.load("probs.npy")
    assert probabilities.dtype == np.float64
    np.testing.assert_array_equal(probabilities, expected)
    figures = json.loads(Path("run.json").read_text())
    assert (figures["stall"], figures["seed"], figures["elements"]) == (0.4, 9, lengths.sum())


def test_golden_engine(run: Run) -> None:
    x = save("logits.npy", logits(20, 33))
    lengths = save("lengths.npy", np.arange(20) + 1)
    code, out, err = run(
        *("logits.npy", "-o", "probs.npy", "--engine", "golden", "--lengths", "lengths.npy"),
        *("--json", "run.json"),
    )
    assert (code, err) == (0, "")
    expected = exaq.softmax(x, CONFIG, np.arange(33) < lengths[:, None])
    np.testing.assert_array_equal(np.load("probs.npy"), expected)
    figures = json.loads(Path("run.json").read_text())
    assert (figures["engine"], figures["rows"], figures["elements"]) == ("golden", 20, 210)
    assert "cycles" not in figures
    assert "Elements            210" in out.splitlines()


HEADS = [
    Tables(thresholds=(-90, -40, -9), exp_rom=(3, 90, 2000, 4096)),
    Tables(thresholds=(-9, -9, 0), exp_rom=(0, 0, 0, 1)),
    Tables(thresholds=(-700, -30, -1), exp_rom=(1, 20, 300, 8191)),
]


def save_heads(name: str, tables: list[Tables]) -> None:
    sets = tuple(TableSet(name=f"head{k}", head=k, tables=t) for k, t in enumerate(tables))
    TableFile(bits=2, logit_width=10, logit_scale=0.25, exp_frac=12, sets=sets).save(name)


def of_each_head(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(batch, head, row) logits, each head by a unit without contexts."""
    one = SoftmaxConfig(logit_width=10, logit_scale=0.25, exp_frac=12, tables=HEADS[0])
    each = [exaq.softmax(x[:, k], one.replace(tables=t)) for k, t in enumerate(HEADS)]
    return np.stack(each, axis=1)


@pytest.mark.simulator
def test_tables_of_each_head_at_reset_and_at_run_time(run: Run) -> None:
    x = save("logits.npy", np.random.default_rng(3).integers(-512, 512, (20, 3, 31)))
    save("heads.npy", np.arange(3))
    save_heads("heads.json", HEADS)
    expected = of_each_head(x)
    common = ["logits.npy", "-o", "p.npy", "--tables", "heads.json", "--contexts-of", "heads.npy"]
    reports = []
    for more in (["--engine", "golden"], [], ["--load"], ["--load", "--stall", 0.4]):
        code, out, err = run(*common, "--json", "run.json", *more)
        assert (code, err) == (0, "")
        np.testing.assert_array_equal(np.load("p.npy"), expected)
        configuration = "2 bits, tables of their own in 3 contexts, 4 lanes"
        assert f"Configuration       {configuration}" in out.splitlines()
        report = json.loads(Path("run.json").read_text())
        held = SoftmaxConfig.from_dict(report["config"])
        assert held.context_tables == tuple(HEADS)
        reports.append(report)
        cycles = report.get("load_cycles", 0)
        loaded = f"Loaded              3 sets of tables over AXI4-Lite in {cycles:,} cycles"
        assert (loaded in out.splitlines()) == ("--load" in more)
    assert [report.get("loads") for report in reports] == [None, 0, 3, 3]
    assert [report.get("mismatches") for report in reports] == [None, 0, 0, 0]
    assert 0 == reports[1]["load_cycles"] < reports[2]["load_cycles"] < reports[3]["load_cycles"]


@pytest.mark.simulator
def test_one_set_of_tables_as_roms_or_loaded(run: Run) -> None:
    x = save("logits.npy", np.random.default_rng(4).normal(0, 20, (9, 3, 16)))
    steps = np.clip(np.rint(x * 4), -512, 511).astype(int)
    save_heads("heads.json", HEADS)
    save_heads("head0.json", HEADS[:1])
    expected = of_each_head(steps)
    for head, options in (
        (0, ["--tables", "head0.json"]),
        (2, ["--tables", "heads.json", "--tables-name", "head2"]),
        (1, ["--tables", "heads.json", "--tables-name", "head1", "--contexts", "2", "--load"]),
    ):
        save("head.npy", x[:, head])
        code, _, err = run("head.npy", "-o", "p.npy", *options)
        assert (code, err) == (0, "")
        np.testing.assert_array_equal(np.load("p.npy"), expected[:, head])


@pytest.mark.simulator
def test_waves_show_every_beat(run: Run) -> None:
    save("logits.npy", logits(7, 30))
    code, out, err = run(
        *("logits.npy", "-o", "probs.npy", "--json", "run.json"),
        *("--waves", "run.vcd", "--stall", 0.5, "--seed", 3),
    )
    assert (code, err) == (0, "")
    names, beats_in, beats_out = vcd_transfers("run.vcd")
    assert {"aclk", "aresetn", "s_axis_tdata", "s_axis_tkeep", "s_axis_tlast"} <= names
    assert {"s_axis_tuser", "m_axis_tdata", "m_axis_tkeep", "m_axis_tlast", "m_axis_tuser"} <= names
    figures = json.loads(Path("run.json").read_text())
    assert beats_in == figures["beats_in"] == 7 * 8
    assert beats_out == figures["beats_out"] == 7 * 8
    assert files() == ["logits.npy", "probs.npy", "run.json", "run.vcd"]
    assert "Written             probs.npy, run.json, run.vcd" in out.splitlines()


@pytest.mark.simulator
def test_codes_and_row_results(run: Run) -> None:
    """Both engines write the same; the summary has what leaves, and when."""
    x = save("logits.npy", logits(4, 9, 33))
    config = CONFIG.replace(output="codes")
    for engine in ("golden", "rtl"):
        code, out, err = run(
            *("logits.npy", "-o", "codes.npy", "--output", "codes", "--results", "rows.npz"),
            *("--engine", engine, "--json", "run.json"),
        )
        assert (code, err) == (0, "")
        np.testing.assert_array_equal(np.load("codes.npy"), exaq.quantize(x, config))
        assert np.load("codes.npy").dtype == np.uint8
        with np.load("rows.npz") as rows:
            assert sorted(rows) == ["maximum", "sum", "table"]
            for name, values in exaq.row_results(x, config).arrays().items():
                np.testing.assert_array_equal(rows[name], values)
        assert files() == ["codes.npy", "logits.npy", "rows.npz", "run.json"]
    figures = json.loads(Path("run.json").read_text())
    assert (figures["mismatches"], figures["result_mismatches"]) == (0, 0)
    assert figures["config"]["output"] == "codes"
    latency, results = (figures[name] for name in ("latency", "results_latency"))
    assert latency["min"] == 6
    for line in (
        "Latency             6 cycles, last logit in to first code out",
        f"Results' latency    {results['min']} / {results['median']:g} / {results['max']} cycles, "
        "last logit in to row results out, less the row's beats",
        "Mismatches          0 elements, 0 rows' results against the golden model",
        "Written             codes.npy, rows.npz, run.json",
    ):
        assert line in out.splitlines()


@pytest.mark.simulator
def test_a_mismatch_of_row_results_exits_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    x = save("logits.npy", logits(5, 16))

    def wrong(*args: Any, **options: Any) -> Any:
        expected = exaq.row_results(x, CONFIG)
        expected.sum[2:4] += 1
        return expected

    monkeypatch.setattr(exaq_cli.commands.unit.simulate, "golden_results", wrong)
    code, out, _ = run("logits.npy", "-o", "probs.npy", "--row-results", "sum")
    assert code == 1
    assert "Mismatches          0 elements, 2 rows' results against the golden model" in out


@pytest.mark.simulator
def test_a_mismatch_is_counted_and_exits_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    x = save("logits.npy", logits(5, 16))

    def wrong(*args: Any, **options: Any) -> Any:
        expected = exaq.softmax(x, CONFIG)
        expected[3, 7:9] ^= 1
        return expected

    monkeypatch.setattr(exaq_cli.commands.unit.simulate, "golden", wrong)
    code, out, _ = run("logits.npy", "-o", "probs.npy", "--json", "run.json")
    assert code == 1
    assert "Mismatches          2 against the golden model" in out.splitlines()
    assert json.loads(Path("run.json").read_text())["mismatches"] == 2
    np.testing.assert_array_equal(np.load("probs.npy"), exaq.softmax(x, CONFIG))


@pytest.mark.simulator
def test_a_hang_is_one_line_with_waves_to_look_at(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("logits.npy", logits(5, 16))
    dead = """
    module exaq_softmax (
        input aclk, aresetn, s_axis_tlast, s_axis_tvalid, m_axis_tready,
        input [31:0] s_axis_tdata, input [3:0] s_axis_tkeep, s_axis_tuser,
        output [63:0] m_axis_tdata, output [7:0] m_axis_tkeep,
        output s_axis_tready, m_axis_tuser, m_axis_tlast, m_axis_tvalid
    );
        assign {s_axis_tready, m_axis_tvalid} = 0;
    endmodule
    """
    monkeypatch.setattr(exaq_cosim.simulation, "_verilog", lambda config: dead)
    code, out, err = run("logits.npy", "-o", "probs.npy", "--json", "a.json", "--waves", "run.vcd")
    assert (code, out) == (1, "")
    assert err == (
        "exaq: error: the unit hangs: no beat moved for 5120 cycles up to cycle 5120, "
        "with 0 of 5 rows in and 0 out\n"
    )
    assert files() == ["logits.npy", "run.vcd"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.npy"], "cannot read none.npy: No such file or directory"),
        (
            ["logits.npy", "--lanes", "3", "--max-row", "1024"],
            "max_row must be a multiple of lanes (3), not 1024; 1023 or 1026 would be",
        ),
        (
            ["logits.npy", "--max-row", "16"],
            "a row must have 1..16 elements, not 20",
        ),
        (
            ["logits.npy", "--logit-width", "6"],
            "logits of 6 bits must be in -32..31, not -128",
        ),
        (
            ["logits.npy", "--mask", "holes.npy", "--no-masking"],
            "a unit without masking takes only masks that keep the beginning of each row, "
            "at least one element; that of row 0 is another",
        ),
        (
            ["logits.npy", "--lengths", "long.npy"],
            "lengths must be in 1..20, not 21",
        ),
        (
            ["logits.npy", "--mask", "long.npy"],
            "long.npy must hold boolean values, not int64",
        ),
        (
            ["nan.npy"],
            "nan.npy holds nan at [1, 2]; all values must be finite, or -inf where masked",
        ),
        (
            ["logits.npy", "--engine", "golden", "--waves", "run.vcd"],
            "--waves needs --engine rtl: the golden model has no cycles",
        ),
        (
            ["logits.npy", "--engine", "golden", "--stall", "0.5"],
            "--stall needs --engine rtl: the golden model has no cycles",
        ),
        (
            ["logits.npy", "--stall", "1"],
            "Invalid value for '--stall': 1.0 is not in the range 0<=x<1.",
        ),
        (
            ["logits.npy", "--waves", "logits.npy/run.vcd"],
            "cannot write logits.npy/run.vcd: Not a directory",
        ),
        (
            ["logits.npy", "--json", "logits.npy/run.json"],
            "cannot write logits.npy/run.json: Not a directory",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run: Run, args: list[str], message: str) -> None:
    save("logits.npy", np.full((4, 20), -128, np.int8))
    save("holes.npy", np.arange(20) % 2 > 0)
    save("long.npy", np.full(4, 21))
    save("nan.npy", np.where(np.arange(12).reshape(3, 4) == 6, np.nan, 0))
    before = files()
    code, out, err = run(*args, "-o", "probs.npy")
    assert (code, out, err) == (2, "", f"exaq: error: {message}\n")
    assert files() == before


def test_no_compiler(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save("logits.npy", logits(4, 20))
    monkeypatch.setenv("CXX", "no-such-compiler")
    code, out, err = run("logits.npy", "-o", "probs.npy")
    assert (code, out) == (2, "")
    assert err == (
        "exaq: error: the C++ compiler no-such-compiler was not found; RTL simulation needs one "
        "(Debian and Ubuntu: apt install g++)\n"
    )
    assert files() == ["logits.npy"]


def test_windows_and_causal_rows(run: Run) -> None:
    """From files and by their rule, in each way that a unit has for them, and from real scores."""
    rng = np.random.default_rng(9)
    scores = rng.integers(-127, 128, (2, 5, 9)).astype(np.int8)
    save("scores.npy", scores)
    save("real.npy", scores * 0.0625)
    window = exaq.causal_windows(5, 9)
    save("windows.npy", np.stack(window, axis=-1))
    config = exaq.SoftmaxConfig(max_row=32)
    mask = np.arange(9) < np.arange(5, 10)[:, None]
    expected = exaq.softmax(scores, config, mask)
    golden = ["--engine", "golden"]
    for words in (
        ["scores.npy", "--causal", "--window", "--no-masking"],
        ["scores.npy", "--causal", *golden],
        ["scores.npy", "--causal", "--no-masking", *golden],
        ["scores.npy", "--windows", "windows.npy", "--window", *golden],
        ["real.npy", "--causal", "--mask-value", "lowest", "--no-masking", *golden],
    ):
        code, out, err = run(*words, "--max-row", "32", "-o", "probs.npy")
        assert (code, err) == (0, ""), (words, out)
        np.testing.assert_array_equal(np.load("probs.npy"), expected)
    save("windows.npy", np.array([[2, 9]] * 5))
    code, out, err = run("scores.npy", "--windows", "windows.npy", "--no-masking", "-o", "p.npy")
    assert (code, out) == (2, "")
    assert err == (
        "exaq: error: a unit without masking takes only masks that keep the beginning of each "
        "row, at least one element; that of row 0 is another\n"
    )
