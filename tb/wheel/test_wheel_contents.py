"""What the wheel holds, and that the source archive makes the same."""

from __future__ import annotations

import tarfile
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
from wheel_build import build, tracked

# Where the packages are in the repository.
HOMES = {
    "exaq": "sim/exaq",
    "exaq_asic": "asic/exaq_asic",
    "exaq_cosim": "sim/exaq_cosim",
    "exaq_eval": "sim/exaq_eval",
    "exaq_explore": "fpga/exaq_explore",
    "exaq_hdl": "hdl/exaq_hdl",
    "exaq_fpga": "fpga/exaq_fpga",
    "exaq_litex": "fpga/exaq_litex",
    "exaq_cli": "scripts/exaq_cli",
}


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata(wheel: Path) -> Message:
    (text,) = (held for name, held in contents(wheel).items() if name.endswith("/METADATA"))
    return BytesParser().parsebytes(text)


def test_every_file_of_the_packages_is_in_it(wheel: Path) -> None:
    want = {
        name.replace(home, package, 1)
        for package, home in HOMES.items()
        for name in tracked()
        if name.startswith(f"{home}/")
    }
    held = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert len(want) > 100
    assert held == want
    assert {f"{package}/py.typed" for package in HOMES} <= held


def test_metadata_tells_what_it_is(wheel: Path) -> None:
    told = metadata(wheel)
    assert told["Name"] == "exaq-softmax"
    assert told["Author"]
    assert told["Keywords"]
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    bare = [need for need in told.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert {need.split(">=")[0] for need in bare} == {"numpy", "click", "rich"}


@pytest.fixture
def unpacked(sources: Path, tmp_path: Path) -> Path:
    with tarfile.open(build("sdist", sources, tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    return folder


def test_source_archive_makes_the_same_wheel(wheel: Path, unpacked: Path, tmp_path: Path) -> None:
    again = build("wheel", unpacked, tmp_path)
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)
