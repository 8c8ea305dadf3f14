"""Other programs, run to their end: what they print, or one line that says why they failed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_LAST_LINES = 3
# As Yosys, nextpnr, Verilator, compilers and Python write them.
_ERROR_LINE = re.compile(r"error\b[^:]*:", re.IGNORECASE)


class ToolError(RuntimeError):
    """A program that is needed is missing or failed; the message is one line."""


def find_command(variable: str, given: str) -> tuple[str, ...] | None:
    """The command in ``given``, with its arguments, as a shell splits it; None: there is none such.

    A program that is named by a path can be run from any folder.

    Parameters
    ----------
    variable
        What holds the command: its name in errors.

    Raises
    ------
    ToolError
        It holds no words, or a quotation without end.
    """
    try:
        program, *arguments = shlex.split(given)
    except ValueError as error:
        raise ToolError(f"{variable} must hold a command, not {given!r}") from error
    found = shutil.which(program)
    if found is None:
        return None
    return (os.path.abspath(found) if os.sep in program else program, *arguments)


def run_tool(
    tool: str,
    command: Sequence[str],
    *,
    seconds: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    text: str = "",
    log: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end, which must be a good one; what it printed is in the result.

    Parameters
    ----------
    tool
        Its name in errors.
    command
        The program and its arguments.
    seconds
        How long it may take.
    folder
        Its working folder; None is the caller's.
    environment
        Its whole environment; None is the caller's.
    text
        Its standard input.
    log
        File that holds its messages where it prints none.

    Raises
    ------
    ToolError
        It does not start, ends with another exit code than 0 or by a signal, or takes too long.
        The message has the first error that it told of, else the last lines of what it said.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = _text(error.stdout) + _text(error.stderr)
        raise ToolError(f"{tool} took longer than {seconds} s{_last(said, log)}") from error
    except OSError as error:
        raise ToolError(f"{tool} does not start: {error.strerror}") from error
    if done.returncode:
        said = done.stdout + done.stderr
        raise ToolError(f"{tool} {how_it_ended(done.returncode, said, log)}")
    return done


def how_it_ended(returncode: int, said: str = "", log: Path | None = None) -> str:
    """What became of a program that failed, in words: "failed with exit code 3: no room".

    Parameters
    ----------
    returncode
        Exit code, or a signal as a negative number.
    said, log
        What it printed; file that holds that where it printed nothing.
    """
    found = next(filter(_ERROR_LINE.search, _lines(said, log)), None)
    reason = _last(said, log) if found is None else f": {found}"
    if returncode > 0:
        return f"failed with exit code {returncode}{reason}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"was killed by {name}{reason}"


def _last(said: str, log: Path | None) -> str:
    last = _lines(said, log)[-_LAST_LINES:]
    return f"; its last lines: {' / '.join(last)}" if last else ""


def _lines(said: str, log: Path | None) -> list[str]:
    if not said.strip() and log is not None and log.exists():
        said = log.read_text(encoding="utf-8", errors="replace")
    return [line.strip() for line in said.splitlines() if line.strip()]


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
