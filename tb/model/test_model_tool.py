"""Programs that fail, each in its way: one line that says how, and what they said of it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from exaq.tool import ToolError, find_command, how_it_ended, run_tool

LINES = "print('one'); print(); print(' two '); print('three'); print('four', flush=True)"
LAST = "; its last lines: two / three / four"
DIE = "import os, signal; os.kill(os.getpid(), signal.SIG"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise SystemExit(3)", "it failed with exit code 3"),
        (f"{LINES}; raise SystemExit(3)", f"it failed with exit code 3{LAST}"),
        (f"{LINES}; {DIE}KILL)", f"it was killed by SIGKILL{LAST}"),
        (f"{DIE}BUS)", "it was killed by SIGBUS"),
        (f"{LINES}; import time; time.sleep(60)", f"it took longer than 2 s{LAST}"),
        (
            "print('Info: errors 0\\n  ERROR: no room \\nERROR: more\\nlast'); raise SystemExit(1)",
            "it failed with exit code 1: ERROR: no room",
        ),
        (
            "import sys; print('a'); print('x.cpp:3: error: no', file=sys.stderr); sys.exit(1)",
            "it failed with exit code 1: x.cpp:3: error: no",
        ),
        ("print('%Error-SYNTAX: no'); exit(1)", "it failed with exit code 1: %Error-SYNTAX: no"),
        ("open('absent')", "it failed with exit code 1: FileNotFoundError: [Errno 2] No such file"),
        (
            "import sys; sys.stdout.buffer.write(b'\\xff\\n'); exit(1)",
            "it failed with exit code 1; its last lines: \ufffd",
        ),
    ],
)
def test_failures(script: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError) as raised:
        run_tool("it", [sys.executable, "-c", script], seconds=2, folder=tmp_path)
    # Python tells more of a missing file than matters here.
    assert str(raised.value).removesuffix(" or directory: 'absent'") == message


def test_signals_have_their_names() -> None:
    assert how_it_ended(-11) == "was killed by SIGSEGV"
    assert how_it_ended(-40) == "was killed by signal 40"


def test_a_log_speaks_for_a_silent_tool(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import sys; print(sys.argv[1]); sys.exit(1)"
    for printed, logged, told in (
        ("", "Info: a\nInfo: b\n", "; its last lines: Info: a / Info: b"),
        ("", "Info: a\nERROR: b\nInfo: c\n", ": ERROR: b"),
        ("of itself", "ERROR: b", "; its last lines: of itself"),
        ("", "", ""),
        ("", None, ""),
    ):
        log.unlink(missing_ok=True)
        if logged is not None:
            log.write_text(logged)
        with pytest.raises(ToolError) as raised:
            run_tool("it", [sys.executable, "-c", script, printed], seconds=20, log=log)
        assert str(raised.value) == f"it failed with exit code 1{told}"


def test_what_it_prints_and_gets(tmp_path: Path) -> None:
    script = (
        "import os, sys; print(sys.stdin.read(), os.environ['KEY'], os.getcwd());"
        "print('e', file=sys.stderr)"
    )
    command = [sys.executable, "-c", script]
    environment = os.environ | {"KEY": "value"}
    done = run_tool(
        "it", command, seconds=20, folder=tmp_path, environment=environment, text="given"
    )
    assert (done.stdout, done.stderr) == (f"given value {tmp_path}\n", "e\n")


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^it does not start: No such file or directory$"):
        run_tool("it", [str(tmp_path / "absent")], seconds=20)


def test_commands_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_command("X", "'my tool' -a 'b c'") == ("my tool", "-a", "b c")
    assert find_command("X", "./my\\ tool") == (str(program),)
    assert find_command("X", "my tool") is None
    for given in ("'my tool", " ", ""):
        with pytest.raises(ToolError) as raised:
            find_command("X", given)
        assert str(raised.value) == f"X must hold a command, not {given!r}"


def test_every_word_of_an_error_is_on_one_line() -> None:
    assert not re.search(r"\n", how_it_ended(1, "a\nb\r\nc\n"))
