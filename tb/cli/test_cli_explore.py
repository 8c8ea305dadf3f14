"""``exaq explore`` as people use it: refusals, a worker that is killed, and what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from run_exaq import python, refusal

from exaq import KERNELS, SoftmaxConfig
from exaq_cli.commands.unit.explore import _GOALS
from exaq_explore import GOALS

REFUSALS = {
    "--kernel fast": (
        f"Invalid value for '--kernel': 'fast' is not one of {', '.join(map(repr, KERNELS))}."
    ),
    "--vary lanes": "Invalid value for '--vary': 'lanes' is not of the form SETTING=VALUE,VALUE",
    "--vary lanes=4,": (
        "Invalid value for '--vary': 'lanes=4,' is not of the form SETTING=VALUE,VALUE"
    ),
    "--vary lanes=4 --vary lanes=8": "Invalid value for '--vary': lanes is there twice",
    "--vary speed=9": "unknown setting 'speed'",
    "--vary sigma=9": "unknown setting 'sigma'",
    "--vary logit-scale=1": "logit_scale cannot be varied: it follows from the logits",
    "--kernel lut --vary bits=2": "bits is a setting of exaq, which is not chosen",
    "--kernel lut --vary variant=fast": (
        "no unit can be made: variant must be rexp or 2d, not 'fast'"
    ),
    "--vary lanes=3": (
        "no unit can be made: max_row must be a multiple of lanes (3), not 1024; 1023 or 1026 "
        "would be"
    ),
    "--max-kl 1 --min-cosine minilm 0.9": "give --max-kl or --min-cosine, not both",
    "--no-dsp --max-dsp 4": "give --no-dsp or --max-dsp, not both",
    "--max-row 64": "--row must be at most --max-row (64), not 128",
    "--max-kl 0": "Invalid value for '--max-kl': 0.0 is not in the range x>0.",
    "--scheduler here": (
        "Invalid value for '--scheduler': 'here' is neither local nor an address such as "
        "tcp://host:8786"
    ),
    "--seeds 1,1": (
        "Invalid value for '--seeds': '1,1' is no list of different whole numbers, as 1,2,3"
    ),
    "--min-cosine nowhere 0.9": "nowhere holds no config.json: no folder of a Transformers model",
    "--out file": "Invalid value for '--out': Directory 'file' is a file.",
    "--out file/more": "cannot write to file/more: Not a directory",
    "--out other": "other/measurements.json holds no measurements of exaq explore",
}
#: A search of seconds: one unit that is small, and one that a limit refuses.
LINE = (
    "explore --device ice40-up5k --kernel lut --kernel shift --vary lanes=1 --vary "
    "variant=2d,e2softmax --max-row 64 --row 16 --max-kl 0.1 --out found"
)


@pytest.mark.parametrize("line", REFUSALS)
def test_refusals(line: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "measurements.json").write_text("{}")
    assert refusal("explore", *line.split(), folder=tmp_path) == REFUSALS[line]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "other"]


def test_goals_are_those_of_the_search() -> None:
    assert tuple(GOALS) == _GOALS


def exaq(*words: str) -> list[str]:
    """The command with its words."""
    return [*python(), "-m", "exaq_cli.main", *words]


def children(process: int) -> list[int]:
    """Dask's workers below a process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state = (folder / "stat").read_text().rpartition(") ")[2].split()
                line = (folder / "cmdline").read_text()
            except OSError:
                continue
            if int(state[1]) == process and "spawn_main" in line:
                found.append(int(folder.name))
    return found


def test_search_survives_a_worker_and_goes_on_from_its_record(tmp_path: Path) -> None:
    command = exaq(*LINE.split())
    running = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    record = tmp_path / "found" / "measurements.json"
    for _ in range(1200):
        if record.exists() and len(json.loads(record.read_text())["measurements"]) >= 3:
            break
        assert running.poll() is None
        time.sleep(0.05)
    victim = children(running.pid)[0]
    os.kill(victim, signal.SIGKILL)
    told, errors = running.communicate(timeout=300)
    assert running.returncode == 0, errors
    document = json.loads((tmp_path / "found" / "explore.json").read_text())
    assert [each["name"] for each in document["best"]] == ["shift, variant e2softmax, lanes 1"]
    assert document["dsp"] is False
    assert document["chosen"] == "shift, variant e2softmax, lanes 1"
    reasons = [each.get("dropped", "") for each in document["units"]]
    assert [reason.startswith("error ") for reason in reasons] == [True, False]
    assert (tmp_path / "found" / "explore.png").read_bytes().startswith(b"\x89PNG")
    check_line(document, told, tmp_path)

    before = json.loads(record.read_text())
    again = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert again.stdout == told
    assert json.loads(record.read_text()) == before
    nothing = [*command, "--max-lut", "1"]
    none = subprocess.run(
        nothing, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert none.returncode == 1
    assert "No unit is within the limits." in none.stdout


def check_line(document: dict[str, Any], told: str, folder: Path) -> None:
    """The line that is printed makes the unit that was measured."""
    (line,) = [each.strip() for each in told.splitlines() if "exaq generate" in each]
    assert line == document["best"][0]["generate"]
    subprocess.run(exaq(*line.split()[1:]), cwd=folder, check=True, timeout=120)
    made = json.loads((folder / "softmax.json").read_text())["config"]
    (unit,) = [each for each in document["units"] if "dropped" not in each]
    assert SoftmaxConfig.from_dict(made) == SoftmaxConfig.from_dict(unit["config"])
