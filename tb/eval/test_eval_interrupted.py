"""``exaq evaluate`` is ended by SIGTERM in the middle, and begun again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exaq_cli.main import main

OPTIONS = ["--bits", "2", "--rule", "naive", "--rule", "paper", "--texts", "40", "--out", "out"]
WRITTEN = 3 + 4


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_that_was_ended_goes_on_to_the_same_files(
    decoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("ended", "straight"):
        shutil.copytree(decoder_folder, tmp_path / name / "mine")
    ended = tmp_path / "ended"
    running = subprocess.Popen(
        [sys.executable, "-m", "exaq_cli.main", "evaluate", "mine", *OPTIONS],
        cwd=ended,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    parts = ended / "out/mine-int16.parts"
    until = time.monotonic() + 300
    # Tables of all settings, and the output of one at least, which may or may not be whole.
    while len(list(parts.glob("*.tables.json"))) < 4 or not list(parts.glob("*.output.npy")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 130, running.communicate()
    running.communicate()
    # Nothing but what is finished: no report, and no file that is half written.
    assert [path.name for path in (ended / "out").iterdir()] == [parts.name]
    assert not list(parts.glob(".*"))

    said = {}
    for folder in (ended, tmp_path / "straight"):
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as exited:
            main(["evaluate", "mine", *OPTIONS])
        said[folder.name] = capfd.readouterr()
        assert exited.value.code == 0, said[folder.name].err
    found, wanted = contents(ended / "out"), contents(tmp_path / "straight/out")
    assert len(wanted) == WRITTEN
    assert found == wanted
    assert said["ended"].out == said["straight"].out
    reused = [line for line in said["ended"].err.splitlines() if "goes on" in line]
    assert len(reused) == 1
    assert reused[0].startswith(
        "mine: goes on where an earlier run stopped; settings calibrated: 4, texts run: "
    )
    assert "goes on" not in said["straight"].err
    assert "; perplexity " in said["straight"].out
