"""``exaq demo`` from end to end; test_cli_demo.py shows what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from run_exaq import run_exaq

import exaq_cli.main
from exaq import SoftmaxConfig, softmax
from exaq.data import load_attention_sample
from exaq_cli.commands.unit.demo import demo_config, sample_clip
from exaq_cli.output.attention_maps import attention_maps
from exaq_cli.output.timeline import row_phases
from exaq_cosim import golden

# The first run compiles four libraries, on a machine that may be busy with other tests.
_SECONDS = 500
_BEATS = 32


@dataclass(frozen=True)
class Demo:
    done: subprocess.CompletedProcess[str]
    folder: Path
    report: dict[str, Any]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    arguments = ["--out", "out/put", "--json", "demo.json"]
    done = run_exaq("demo", *arguments, folder=folder, seconds=_SECONDS)
    assert done.returncode == 0, done.stderr
    return Demo(done, folder, json.loads((folder / "demo.json").read_text(encoding="utf-8")))


def figures(demo: Demo, name: str) -> list[str]:
    """The columns behind ``name`` in the printed table."""
    line = next(line for line in demo.done.stdout.splitlines() if line.strip().startswith(name))
    return line.strip().removeprefix(name).split()


@pytest.mark.simulator
def test_prints_what_a_user_wants_to_know(demo: Demo) -> None:
    assert figures(demo, "Mismatching bits") == ["0", "0"]
    assert figures(demo, "Elements ") == ["1,572,864"] * 2
    assert figures(demo, "unmasked") == ["472,416"] * 2
    for run, column in zip(demo.report["runs"], range(2), strict=True):
        shown = {
            "Verilog": Path(run["verilog"]).name,
            "Cycles": f"{run['cycles']:,}",
            "Elements per cycle": f"{run['elements_per_cycle']:.3f}",
            "mean absolute error": f"{run['closeness']['mean_absolute_error']:.5f}",
            "KL divergence, nats": f"{run['closeness']['kl_divergence']:.4f}",
            "cosine": f"{run['closeness']['cosine']:.4f}",
            "row sums, least": f"{run['closeness']['row_sum_min']:.5f}",
            "row sums, greatest": f"{run['closeness']['row_sum_max']:.5f}",
        }
        assert {name: figures(demo, name)[column] for name in shown} == shown
    assert max(map(len, demo.done.stdout.splitlines())) <= 80


@pytest.mark.simulator
def test_full_rate_and_no_fault(demo: Demo) -> None:
    rows = 4 * 6 * 4 * 128
    for run in demo.report["runs"]:
        assert run["mismatching_bits"] == 0
        assert run["row_errors"] == 0
        assert run["rows"] == rows
        assert run["row_interval"] == {"min": _BEATS, "median": _BEATS, "max": _BEATS}
        assert run["elements_per_cycle"] > 3.99


@pytest.mark.simulator
def test_closeness_is_that_of_the_golden_model(demo: Demo) -> None:
    sample = load_attention_sample()
    live = np.broadcast_to(sample.mask, sample.logits.shape)
    exponentials = np.where(live, np.exp(sample.logits / 16.0), 0)
    total = exponentials.sum(axis=-1, keepdims=True)
    exact = exponentials / np.where(total > 0, total, 1)
    errors = []
    for run in demo.report["runs"]:
        config = SoftmaxConfig.from_dict(run["config"])
        given = softmax(sample.logits, config, live) / 65536
        errors.append(np.abs(given - exact)[live].mean())
        assert run["closeness"]["mean_absolute_error"] == pytest.approx(errors[-1], rel=1e-9)
        sums = given.sum(axis=-1)[live.any(axis=-1)]
        assert run["closeness"]["row_sum_min"] == pytest.approx(sums.min(), abs=1e-12)
        assert run["closeness"]["row_sum_max"] == pytest.approx(sums.max(), abs=1e-12)
    assert errors[1] < errors[0] / 2 < 0.0025


def test_clip_follows_the_papers_rule() -> None:
    sample = load_attention_sample()
    logits = np.ma.array(
        sample.logits / 16.0, mask=~np.broadcast_to(sample.mask, sample.logits.shape)
    )
    distances = (logits - logits.max(axis=-1, keepdims=True)).compressed()
    sigma = np.sqrt(((distances - distances.mean()) ** 2).sum() / (distances.size - 1))
    assert sample_clip(sample, 2) == pytest.approx(-1.66 * sigma - 1.85, rel=1e-12)
    assert sample_clip(sample, 3) == pytest.approx(-1.75 * sigma - 2.06, rel=1e-12)


def test_configurations_are_the_presets_but_for_the_sample() -> None:
    sample = load_attention_sample()
    for preset, bits in (("2bit-x4", 2), ("3bit-x4", 3)):
        config = demo_config(sample, preset, -6.5)
        assert (config.bits, config.lanes, config.max_row) == (bits, 4, 1024)
        assert (config.logit_scale, config.clip, config.full_rate_row) == (0.0625, -6.5, 128)


@pytest.mark.simulator
def test_verilog_is_what_generate_writes(demo: Demo) -> None:
    for run in demo.report["runs"]:
        verilog = demo.folder / run["verilog"]
        manifest = json.loads(verilog.with_suffix(".json").read_text(encoding="utf-8"))
        assert manifest["config"] == run["config"]
        assert re.search(r"^module exaq_softmax\(", verilog.read_text(encoding="utf-8"), re.M)
    assert sorted(path.name for path in (demo.folder / "out/put").iterdir()) == sorted(
        ["attention.png"]
        + [f"exaq_softmax_{b}bit-x4.{kind}" for b in (2, 3) for kind in ("v", "json", "vcd")]
    )


@pytest.mark.simulator
def test_timeline_agrees_with_the_declared_latency(demo: Demo) -> None:
    for run in demo.report["runs"]:
        manifest = json.loads((demo.folder / run["verilog"]).with_suffix(".json").read_text())
        phases = {phase["name"]: phase for phase in run["phases"]}
        assert list(phases) == ["in", "max", "quantize", "sum", "divide", "out"]
        assert (phases["in"]["first"], phases["in"]["last"]) == (0, _BEATS - 1)
        first_out = _BEATS - 1 + _BEATS + manifest["latency"]["cycles"]
        assert phases["out"]["first"] == first_out
        assert phases["out"]["last"] == first_out + _BEATS - 1
        firsts = [phase["first"] for phase in phases.values()]
        lasts = [phase["last"] for phase in phases.values()]
        assert firsts == sorted(firsts)
        assert lasts == sorted(lasts)
        # No code before the maximum is known, no quotient before the sum is.
        assert phases["max"]["last"] < phases["quantize"]["first"]
        assert phases["sum"]["last"] < phases["divide"]["first"]
        assert phases["divide"]["last"] < phases["out"]["first"]


@pytest.mark.simulator
def test_picture_shows_three_maps(demo: Demo) -> None:
    picture = imread(demo.folder / "out/put/attention.png")
    assert picture.shape == (903, 2107, 4)
    # The left and right edges of each map, 20 tokens of 0.23 inch, 0.28 apart, at 130 dots.
    side, step = 20 * 0.23 * 130, (20 * 0.23 + 0.28) * 130
    maps = [
        picture[175:760, round(0.95 * 130 + k * step) : round(0.95 * 130 + k * step + side), :3]
        for k in range(3)
    ]
    colours = [len(np.unique((m * 255).astype(int).reshape(-1, 3), axis=0)) for m in maps]
    # Float softmax has more colours than eight levels a row, and those more than four.
    assert colours[0] > colours[2] > colours[1] > 50
    differences = [np.abs(maps[0] - other).mean() for other in maps[1:]]
    assert 0 < differences[1] < differences[0] < 0.1


@pytest.mark.simulator
def test_a_wrong_bit_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(*args: Any, **kwargs: Any) -> Any:
        probabilities = golden(*args, **kwargs)
        probabilities[3, 5, 3, 127, 127] ^= 5
        return probabilities

    monkeypatch.setattr("exaq_cli.commands.unit.demo.golden", wrong)
    with pytest.raises(SystemExit) as exit_:
        exaq_cli.main.main(["demo", "--out", str(tmp_path)])
    assert exit_.value.code == 1
    out = capsys.readouterr().out
    assert re.search(r"^Mismatching bits +2 +2 *$", out, re.M)
    assert out.endswith("The unit differs from the golden model.\n")


def test_picture_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    maps = [("One\nsmall", np.eye(6)), ("Other", np.full((6, 6), 1 / 6))]
    attention_maps(path, maps, list("abcdef"), title="Title", subtitle="More")
    height, width, _ = imread(path).shape
    assert width == pytest.approx((0.95 + 2 * 6 * 0.23 + 0.28 + 0.9) * 130, abs=1)
    assert height == pytest.approx((1.3 + 6 * 0.23 + 1.05) * 130, abs=1)


VCD = """\
$timescale 1ns $end
$scope module top $end
$var wire 1 ! aclk $end
$var wire 1 a receiver_i_valid $end
$var wire 1 b receiver_i_ready $end
$var wire 1 c row_max_i_valid $end
$var wire 1 d row_max_o_valid $end
$var wire 1 c quantizer_i_valid $end
$var wire 1 d quantizer_o_valid $end
$var wire 1 d accumulator_i_valid $end
$var wire 1 d accumulator_o_valid $end
$var wire 1 d normalizer_i_valid $end
$var wire 1 e normalizer_o_valid $end
$var wire 1 e emitter_o_valid $end
$var wire 8 z data $end
$upscope $end
$enddefinitions $end
#0
0!
0a
0b
0c
0d
0e
b0 z
"""


def test_timeline_counts_transfers_before_each_edge(tmp_path: Path) -> None:
    waves = tmp_path / "row.vcd"
    # Changes of each cycle while aclk is low; what changes with the edge counts for the next.
    cycles = ["1a", "1b", "1c", "0a\n0c\n1d", "0d\n1e", "1e", "0e"]
    body = "".join(
        f"#{10 * i + 10}\n0!\n{changes}\nb{i:b} z\n#{10 * i + 15}\n1!\n"
        for i, changes in enumerate(cycles)
    )
    waves.write_text(VCD + body, encoding="ascii")
    spans = {phase.name: (phase.first, phase.last) for phase in row_phases(waves)}
    # Cycle 0 is that of the first transfer: valid came a cycle before ready.
    assert spans == {
        "in": (0, 1),
        "max": (1, 2),
        "quantize": (1, 2),
        "sum": (2, 2),
        "divide": (2, 4),
        "out": (3, 4),
    }
