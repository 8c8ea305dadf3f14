"""Files for LibreLane: what is in them, and that LibreLane's own schema takes them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from small_unit import CONFIG, TARGET

from exaq import SoftmaxConfig
from exaq_asic.flow import TOP
from exaq_asic.librelane_files import FILES, MARGIN, librelane_files
from exaq_asic.memory_table import read_macros, table_path
from exaq_hdl import emit_verilog

MADE = librelane_files(CONFIG, nanoseconds=2.0, target=TARGET)
#: Of a unit whose large queues are macros, which are side by side in one of them.
OF_MACROS = librelane_files(
    SoftmaxConfig(),
    nanoseconds=2.0,
    target=TARGET,
    macros=read_macros(table_path("ihp-sg13g2")),
)
BOTH = pytest.mark.parametrize("made", [MADE, OF_MACROS], ids=["models", "macros"])


@BOTH
def test_every_file_that_is_named_is_there(made: dict[str, str]) -> None:
    config = json.loads(made["config.json"])
    named = re.findall(r'"dir::([\w./]+)', made["config.json"])
    assert set(named) == set(FILES) - {"config.json"}
    assert config["DESIGN_NAME"] == TOP
    assert f"-period {config['CLOCK_PERIOD']} " in made["constraints.sdc"]
    assert config["CLOCK_PERIOD"] == pytest.approx(2.0 * (1 + MARGIN))


def test_pins_are_all_the_ports() -> None:
    patterns = [line for line in MADE["pins.cfg"].splitlines() if not line.startswith("#")]
    ports = [port["name"] for port in emit_verilog(CONFIG, name=TOP).manifest["ports"]]
    for port in ports:
        assert sum(re.fullmatch(pattern, port) is not None for pattern in patterns) == 1, port


@BOTH
def test_the_text_is_whole(made: dict[str, str]) -> None:
    """But for the macros, which the configuration names."""
    text = made[f"src/{TOP}.v"] + made["src/arrays.v"]
    used = set(re.findall(rf"^ +({TOP}__\w+) ", text, re.MULTILINE))
    assert used <= set(re.findall(r"^module (\w+)", text, re.MULTILINE))
    macros = json.loads(made["config.json"]).get("MACROS", {})
    assert set(re.findall(r"^ +(\w+) macro \($", text, re.MULTILINE)) == macros.keys()
    assert len(macros) == (made is OF_MACROS)
    for name, files in macros.items():
        held = [*files["gds"], *files["lef"], *files["lib"]["*"]]
        assert [Path(file).name.startswith(name) for file in held] == [True] * 3


@BOTH
def test_librelane_takes_the_configuration(tmp_path: Path, made: dict[str, str]) -> None:
    flows = pytest.importorskip("librelane.flows", reason="LibreLane is not installed")
    config = pytest.importorskip("librelane.config")
    common = pytest.importorskip("librelane.common")
    flow: Any = flows.Flow.factory.get("Classic")
    variables = {
        variable.name: variable
        for variable in [
            *config.universal_flow_config_variables,
            *flow.config_vars,
            *(each for step in flow.Steps for each in step.config_vars),
        ]
    }
    for file, text in made.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    for file in re.findall(r'"pdk_dir::([\w./]+)', made["config.json"]):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    text = re.sub(r'"(pdk_)?dir::', f'"{tmp_path}/', made["config.json"])
    given = json.loads(text, parse_float=Decimal)
    meta = config.Meta.from_dict(given.pop("meta"))
    assert meta.version == 3
    assert set(given) <= set(variables)
    for name in given:
        warnings: list[str] = []
        variables[name].compile(common.GenericDict(given), warnings)
        assert warnings == []
