"""The unit as a core of FuseSoC: beside its Verilog, and made by the generator."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_exaq import python, refusal, run_exaq

import exaq_cli.fusesoc
from exaq import SoftmaxConfig, TableFile, Tables, TableSet
from exaq_cli.errors import UserError
from exaq_cli.fusesoc.exaq_softmax_generator import command
from exaq_fpga.boards.devices import DEVICES

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(exaq_cli.fusesoc.__file__).parent
SECONDS = 120

needs_tools = pytest.mark.skipif(
    not (shutil.which("iverilog") and shutil.which("verilator")),
    reason="Icarus or Verilator is not installed",
)


def fusesoc(*words: str, folder: Path, library: bool = False) -> subprocess.CompletedProcess[str]:
    """``fusesoc WORDS`` of this environment, which knows no other project's libraries."""
    settings = {"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data"}
    bin_ = str(Path(sys.executable).parent)
    environment = {name: str(folder / "home" / path) for name, path in settings.items()}
    environment["PATH"] = os.pathsep.join([bin_, os.environ["PATH"]])
    (folder / "home").mkdir(exist_ok=True)
    (folder / "home/FUSESOC_IGNORE").touch()
    roots = ["--cores-root", ".", *(["--cores-root", str(LIBRARY)] if library else [])]
    return subprocess.run(
        [f"{bin_}/fusesoc", *roots, *words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a unit, its core and its bench."""
    folder = tmp_path_factory.mktemp("core")
    options = ("--contexts", "2", "--window", "--row-results", "sum", "--max-row", "32")
    done = run_exaq(
        "generate", *options, "--core", "--name", "my_unit", "-o", "softmax.v", folder=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def parsed(path: Path) -> dict[str, Any]:
    head, _, rest = path.read_text(encoding="utf-8").partition("\n")
    assert head == "CAPI=2:"
    found: dict[str, Any] = yaml.safe_load(rest)
    return found


def test_files_of_a_core(core: Path) -> None:
    names = {path.name for path in core.iterdir()}
    assert names >= {"softmax.v", "softmax.json", "softmax.h", "softmax.core", "softmax_tb.v"}
    told = parsed(core / "softmax.core")
    version = metadata.version("exaq-softmax")
    assert told["name"] == f"exaq:ip:my_unit:{version}"
    assert told["filesets"]["rtl"]["files"] == ["softmax.v"]
    assert told["filesets"]["bench"]["files"] == ["softmax_tb.v"]
    assert set(told["targets"]) == {"default", "lint", "sim", "synth_ecp5", "synth_ice40"}
    assert told["targets"]["default"]["toplevel"] == "my_unit"
    bench = (core / "softmax_tb.v").read_text(encoding="utf-8")
    assert f"\nmodule {told['targets']['sim']['toplevel']};" in bench
    assert "\n  my_unit unit (" in bench


def test_synthesis_is_for_the_devices_of_the_bench(core: Path) -> None:
    targets = parsed(core / "softmax.core")["targets"]
    for name, flow in (("ecp5-85", "trellis"), ("ice40-hx8k", "icestorm")):
        device = DEVICES[name]
        target = targets[f"synth_{device.family}"]
        assert target["flow"] == flow
        assert target["flow_options"]["arch"] == device.family
        route = [str(each) for each in target["flow_options"]["nextpnr_options"]]
        assert tuple(route[:-1]) == device.route


def test_synthesis_can_be_configured(core: Path) -> None:
    for family, made in (("ecp5", "bit"), ("ice40", "bin")):
        done = fusesoc("run", "--setup", "--target", f"synth_{family}", "my_unit", folder=core)
        assert done.returncode == 0, done.stderr
        (makefile,) = core.glob(f"build/*/synth_{family}/Makefile")
        text = makefile.read_text(encoding="utf-8")
        assert f".{made}" in text
        assert DEVICES["ecp5-85" if family == "ecp5" else "ice40-hx8k"].route[0] in text


@pytest.mark.simulator
@needs_tools
def test_a_core_is_linted_and_simulated(core: Path) -> None:
    linted = fusesoc("run", "--target", "lint", "my_unit", folder=core)
    assert linted.returncode == 0, linted.stderr
    assert "%" not in linted.stdout + linted.stderr
    simulated = fusesoc("run", "--target", "sim", "my_unit", folder=core)
    assert simulated.returncode == 0, simulated.stderr
    assert re.search(r"^PASSED \d+ rows$", simulated.stdout, re.MULTILINE)


@pytest.mark.simulator
@needs_tools
def test_a_wrong_bit_fails(core: Path, tmp_path: Path) -> None:
    for name in ("softmax.core", "softmax_tb.v", "softmax.v"):
        shutil.copy(core / name, tmp_path)
    text = (tmp_path / "softmax.v").read_text(encoding="utf-8")
    broken, times = re.subn(r"(assign m_axis_tdata = )([^;]+);", r"\1\2 ^ 32;", text)
    assert times == 1
    (tmp_path / "softmax.v").write_text(broken, encoding="utf-8")
    done = fusesoc("run", "--target", "sim", "my_unit", folder=tmp_path)
    assert done.returncode == 1
    assert "FAILED row 0, beat 0 of m_axis:" in done.stdout
    assert "PASSED" not in done.stdout


@pytest.mark.simulator
@needs_tools
def test_the_page_s_core_is_linted_and_simulated(tmp_path: Path) -> None:
    page = (ROOT / "docs/fusesoc.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "attention.core").write_text(text, encoding="utf-8")
    for target, told in (("lint", ""), ("sim", "PASSED")):
        done = fusesoc(
            "run", "--target", target, "example:soc:attention", folder=tmp_path, library=True
        )
        assert done.returncode == 0, done.stderr
        assert told in done.stdout
        assert "%" not in done.stdout + done.stderr
    # What was generated is not found among the folder's own cores.
    listed = fusesoc("core", "list", folder=tmp_path).stdout
    assert "example:soc:attention:1.0" in listed
    assert "attention-unit" not in listed
    (manifest,) = tmp_path.glob("build/*/sim/generator_cache/*/*.json")
    config = json.loads(manifest.read_text(encoding="utf-8"))["config"]
    assert SoftmaxConfig.from_dict(config) == SoftmaxConfig(lanes=8, max_row=256)


TWO = """CAPI=2:
name: example:soc:two:1.0
filesets:
  generator:
    depend: ["exaq:generator:softmax"]
generate:
  one: {generator: exaq_softmax, parameters: {name: one, max_row: 32}}
  other: {generator: exaq_softmax, parameters: {name: other, kernel: shift, max_row: 32}}
targets:
  default:
    filesets: [generator]
    generate: [one, other]
    flags: {exaq_bench: true}
    toplevel: other__tb
    flow: sim
    flow_options: {tool: icarus, vvp_options: [-N]}
"""


@pytest.mark.simulator
@needs_tools
def test_units_of_different_names_in_one_core(tmp_path: Path) -> None:
    (tmp_path / "two.core").write_text(TWO, encoding="utf-8")
    done = fusesoc("run", "--target", "default", "two", folder=tmp_path, library=True)
    assert done.returncode == 0, done.stderr
    assert "PASSED" in done.stdout
    assert {path.name for path in tmp_path.glob("build/*/*/src/*/*.v")} == {
        *("one.v", "one_tb.v", "other.v", "other_tb.v")
    }


def test_the_library_is_where_it_says() -> None:
    done = subprocess.run(
        [*python(), "-m", "exaq_cli.fusesoc"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert done.stdout == f"{LIBRARY}\n"
    (generator,) = parsed(LIBRARY / "exaq_softmax_generator.core")["generators"].values()
    assert (LIBRARY / generator["command"]).is_file()


def generated(folder: Path, **parameters: Any) -> subprocess.CompletedProcess[str]:
    """What the generator makes of ``parameters`` in ``folder``/unit, files being in ``folder``."""
    asked = {"files_root": str(folder), "vlnv": "a:b:c-unit:1.0", "parameters": parameters}
    (folder / "input.yml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    (folder / "unit").mkdir(exist_ok=True)
    return subprocess.run(
        [*python(), str(LIBRARY / "exaq_softmax_generator.py"), str(folder / "input.yml")],
        cwd=folder / "unit",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_parameters_make_the_configuration(tmp_path: Path) -> None:
    tables = Tables(thresholds=(-40, -20, -5), exp_rom=(3, 90, 2000, 4096))
    settings: dict[str, Any] = {"bits": 2, "logit_width": 10, "logit_scale": 0.125, "exp_frac": 12}
    sets = (TableSet(name="all", tables=tables),)
    TableFile(**settings, sets=sets).save(tmp_path / "heads.json")
    done = generated(
        tmp_path, tables="heads.json", name="heads", preset="2bit-x16", max_row=64, masking=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((tmp_path / "unit/heads.json").read_text(encoding="utf-8"))
    assert SoftmaxConfig.from_dict(manifest["config"]) == SoftmaxConfig.preset(
        "2bit-x16", **settings, tables=tables, max_row=64, masking=False
    )
    assert parsed(tmp_path / "unit/heads.core")["name"] == "a:b:c-unit:1.0"


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"lane": 8}, "unknown parameter 'lane'; legal are preset, "),
        ({"lanes": "8"}, "lanes must be an integer, not '8'"),
        ({"tables": "absent.json"}, "cannot read "),
        ({"preset": ["2bit-x4"]}, "unknown preset \"['2bit-x4']\""),
        ({"name": "a__b"}, "name must be letters, digits and single underscores"),
    ],
)
def test_wrong_parameters_are_refused(
    parameters: dict[str, Any], told: str, tmp_path: Path
) -> None:
    done = generated(tmp_path, **parameters)
    assert done.returncode == 2
    assert done.stderr.startswith(f"exaq_softmax: error: {told}")
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "unit").iterdir()) == []


def test_a_parameter_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: a parameter that is wrong, and the same unit when it is right."""
    asked = {"vlnv": "a:b:c:1.0", "files_root": str(tmp_path), "parameters": {"lane": 2}}
    (tmp_path / "input.yml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^unknown parameter 'lane'; legal are preset, "):
        command.main(["input.yml"], standalone_mode=False)
    assert [path.name for path in tmp_path.iterdir()] == ["input.yml"]
    asked["parameters"] = {"lanes": 2, "max_row": 16}
    (tmp_path / "input.yml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    command.main(["input.yml"], standalone_mode=False)
    manifest = json.loads((tmp_path / "exaq_softmax.json").read_text(encoding="utf-8"))
    assert SoftmaxConfig.from_dict(manifest["config"]) == SoftmaxConfig(lanes=2, max_row=16)
    assert parsed(tmp_path / "exaq_softmax.core")["name"] == "a:b:c:1.0"


def test_a_unit_for_a_chip_has_no_synthesis(tmp_path: Path) -> None:
    options = ("--target", "asic", "--max-row", "32", "--core", "-o", "unit.v")
    run_exaq("generate", *options, folder=tmp_path).check_returncode()
    assert set(parsed(tmp_path / "unit.core")["targets"]) == {"default", "lint", "sim"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--unit attention --head-size 32", "--core is for --unit softmax alone"),
        ("--unit level-sums --head-size 32", "--core is for --unit softmax alone"),
        ("--top core", "--core is for a unit with --top axi"),
        (
            "--target asic --ram-model absent",
            "--core is for a unit that can be simulated, without --ram-model absent",
        ),
    ],
)
def test_units_without_a_core(options: str, told: str, tmp_path: Path) -> None:
    assert told in refusal("generate", *options.split(), "--core", "-o", "u.v", folder=tmp_path)
