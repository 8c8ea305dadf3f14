"""Makes a unit for FuseSoC, which runs this file by a Python that has exaq-softmax:

    python3 exaq_softmax_generator.py INPUT.yml

In the input FuseSoC says which parameters a core asks for, and how the core that has the unit is to
be called. That core, the Verilog, its description and its bench appear in the current folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from exaq_cli.config.partial_config import SETTINGS, PartialConfig
from exaq_cli.errors import UserError, tool_errors, user_errors
from exaq_cli.exit_codes import run_program
from exaq_cli.files import load_tables

# Parameters that are no setting of a configuration, and those of them that are texts.
_TEXTS = ("preset", "tables", "tables_name", "name")
_OTHERS = (*_TEXTS, "sigma")


@click.command()
@click.argument("request", metavar="INPUT.yml", type=click.Path(path_type=Path))
def command(request: Path) -> None:
    """Make the unit that INPUT.yml asks for, in the current folder."""
    asked = yaml.safe_load(request.read_text(encoding="utf-8"))
    _write(asked["vlnv"], Path(asked["files_root"]), asked["parameters"] or {})


def _write(vlnv: str, root: Path, parameters: Mapping[str, Any]) -> None:
    """Make the unit of ``parameters``, files in which are below ``root``."""
    for name in parameters:
        if name not in (*SETTINGS, *_OTHERS):
            legal = ", ".join((*_OTHERS, *SETTINGS))
            raise UserError(f"unknown parameter {name!r}; legal are {legal}")
    texts = {name: str(parameters[name]) for name in _TEXTS if name in parameters}
    config = PartialConfig(
        preset=texts.get("preset"),
        settings={name: parameters[name] for name in SETTINGS if name in parameters},
        sigma=parameters.get("sigma"),
        tables=load_tables(root / texts["tables"]) if "tables" in texts else None,
        tables_name=texts.get("tables_name"),
    ).resolve()
    # Only here: it takes a second, and refusals need not wait for it.
    from exaq_hdl import emit_verilog
    from exaq_hdl.emit.companions.companion import Unit
    from exaq_hdl.emit.companions.fusesoc_core import fusesoc_core
    from exaq_hdl.emit.companions.verilog_bench import verilog_bench

    name = texts.get("name", "exaq_softmax")
    with tool_errors(), user_errors():
        emitted = emit_verilog(config, name=name)
    unit = Unit(config=config, emitted=emitted, stem=name)
    for file, text in {
        f"{name}.v": emitted.verilog,
        f"{name}.json": json.dumps(emitted.manifest, indent=2) + "\n",
        f"{name}_tb.v": verilog_bench(unit),
        f"{name}.core": fusesoc_core(unit, vlnv),
        # A later run that searches its own build folder shall not find this one's core.
        "FUSESOC_IGNORE": "",
    }.items():
        Path(file).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    run_program(command, "exaq_softmax", sys.argv[1:])
