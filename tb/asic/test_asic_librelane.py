"""Files for LibreLane: what is in them, and that LibreLane's own schema takes them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from small_unit import CONFIG, TARGET

from exaq_asic.flow import TOP
from exaq_asic.librelane_files import FILES, MARGIN, librelane_files
from exaq_hdl import emit_verilog

MADE = librelane_files(CONFIG, nanoseconds=2.0, target=TARGET)


def test_every_file_that_is_named_is_there() -> None:
    config = json.loads(MADE["config.json"])
    named = re.findall(r"dir::([\w./]+)", MADE["config.json"])
    assert set(named) == set(FILES) - {"config.json"}
    assert config["DESIGN_NAME"] == TOP
    assert f"-period {config['CLOCK_PERIOD']} " in MADE["constraints.sdc"]
    assert config["CLOCK_PERIOD"] == pytest.approx(2.0 * (1 + MARGIN))


def test_pins_are_all_the_ports() -> None:
    patterns = [line for line in MADE["pins.cfg"].splitlines() if not line.startswith("#")]
    ports = [port["name"] for port in emit_verilog(CONFIG, name=TOP).manifest["ports"]]
    for port in ports:
        assert sum(re.fullmatch(pattern, port) is not None for pattern in patterns) == 1, port


def test_the_text_is_whole() -> None:
    text = MADE[f"src/{TOP}.v"] + MADE["src/arrays.v"]
    used = set(re.findall(rf"^ +({TOP}__\w+) ", text, re.MULTILINE))
    assert used <= set(re.findall(r"^module (\w+)", text, re.MULTILINE))


def test_librelane_takes_the_configuration(tmp_path: Path) -> None:
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
    for file, text in MADE.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    given = json.loads(MADE["config.json"].replace("dir::", f"{tmp_path}/"), parse_float=Decimal)
    meta = config.Meta.from_dict(given.pop("meta"))
    assert meta.version == 3
    assert set(given) <= set(variables)
    for name in given:
        warnings: list[str] = []
        variables[name].compile(common.GenericDict(given), warnings)
        assert warnings == []
