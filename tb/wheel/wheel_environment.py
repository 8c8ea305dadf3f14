"""An environment of Python that holds the wheel with some extras, and nothing of this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from wheel_build import ROOT

_SECONDS = 900


class Environment:
    """A new environment in ``folder``, with ``wheel`` and ``extras`` in the lock's versions.

    Members
    -------
    work
        The folder in which everything runs: empty at first, outside the checkout.
    """

    def __init__(self, folder: Path, wheel: Path, extras: str) -> None:
        self._bin = folder / "venv" / "bin"
        self.work = folder / "work"
        self.work.mkdir()
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        # Not this environment's commands; the machine's, such as the C++ compiler, stay.
        own = str(Path(sys.executable).parent)
        path = [each for each in os.environ["PATH"].split(os.pathsep) if each != own]
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self._environment["PATH"] = os.pathsep.join([str(self._bin), *path])
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", str(self._bin / "python")),
                *("install", "--quiet", "--disable-pip-version-check"),
                *("--no-compile", "--constraint", str(ROOT / "requirements.lock")),
                f"{wheel}[{extras}]" if extras else str(wheel),
            ],
            timeout=_SECONDS,
            check=True,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command ``words``, of the environment."""
        return subprocess.run(
            [str(self._bin / words[0]), *words[1:]],
            cwd=self.work,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def exaq(self, *words: str) -> str:
        """What ``exaq WORDS`` prints; it must succeed."""
        done = self.run("exaq", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str) -> str:
        """What ``code`` prints; it must succeed."""
        done = self.run("python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def modules(self) -> set[str]:
        """The modules of all extras that are here."""
        return set(
            json.loads(
                self.python(
                    "import json; from importlib.util import find_spec\n"
                    "from exaq.extras import EXTRAS\n"
                    "modules = {m for each in EXTRAS.values() for m in each}\n"
                    "print(json.dumps([m for m in modules if find_spec(m)]))"
                )
            )
        )

    def files(self) -> set[Path]:
        """All files and folders of ``work``."""
        return set(self.work.rglob("*"))
