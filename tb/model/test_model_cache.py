"""The project's cache: where it is, filled once by several processes, and clear refusals."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exaq.cache import (
    CacheError,
    cache_folder,
    caching_environment,
    filled_folder,
    scratch_folder,
)

# Fills the folder "x" slowly, with a line for each who does so beside it.
FILL = """
import sys, time
from pathlib import Path
from exaq.cache import cache_folder, filled_folder

def fill(folder):
    (folder / "begun").touch()
    with (cache_folder() / "fills").open("a") as fills:
        fills.write("once\\n")
    time.sleep(float(sys.argv[1]))
    (folder / "done").write_text("whole")

print((filled_folder("x", fill) / "done").read_text())
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "above" / "cache"
    monkeypatch.setenv("EXAQ_CACHE", str(folder))
    return folder


def filler(seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FILL, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(place: Path, reason: str) -> str:
    return f"the cache cannot be written: {place}: {reason}; EXAQ_CACHE names another folder for it"


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.delenv("EXAQ_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/somebody/.cache/exaq")
    monkeypatch.setenv("HOME", "relative")
    assert cache_folder() == tmp_path / "relative/.cache/exaq"
    monkeypatch.setenv("XDG_CACHE_HOME", "/mine")
    assert cache_folder() == Path("/mine/exaq")
    monkeypatch.setenv("XDG_CACHE_HOME", "mine")
    assert cache_folder() == tmp_path / "mine/exaq"
    monkeypatch.setenv("EXAQ_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.setenv("EXAQ_CACHE", "elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("EXAQ_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(
        CacheError, match=r"^there is no home folder for a cache; EXAQ_CACHE names one$"
    ):
        cache_folder()


def test_four_processes_fill_once(cache: Path) -> None:
    processes = [filler(1) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["whole\n"] * 4
    assert (cache / "fills").read_text() == "once\n"
    assert names(cache) == ["fills", "x", "x.lock"]
    assert names(cache / "x") == ["begun", "done"]


def test_a_killed_process_leaves_the_folder_to_the_next(cache: Path) -> None:
    first = filler(60)
    deadline = time.monotonic() + 30
    while not (cache / "fills").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = filler(0)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)
    assert second.communicate(timeout=30)[0] == "whole\n"
    assert names(cache / "x") == ["begun", "done"]


def test_nothing_stays_of_a_fill_that_fails(cache: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match=r"^no$"):
        filled_folder("x", fill)
    assert names(cache) == ["x.lock"]
    assert filled_folder("x", lambda folder: None) == cache / "x"


def test_scratch_goes(cache: Path) -> None:
    with scratch_folder() as scratch:
        assert scratch.parent == cache
        (scratch / "file").touch()
    assert names(cache) == []


def test_a_cache_that_cannot_be_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "cache"
    monkeypatch.setenv("EXAQ_CACHE", str(place))

    def scratch() -> None:
        with scratch_folder():
            pytest.fail("there is no folder")

    for use in (
        scratch,
        caching_environment,
        lambda: filled_folder("x", lambda folder: pytest.fail("there is no folder")),
    ):
        with pytest.raises(CacheError) as raised:
            use()
        assert str(raised.value) == refusal(place, "Not a directory")


def test_programs_with_a_cache_of_their_own_are_sent_here(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "kept")
    environment = caching_environment()
    assert environment["XDG_CACHE_HOME"] == str(cache)
    assert environment["OTHER"] == "kept"
    assert names(cache) == ["wasmtime"]
