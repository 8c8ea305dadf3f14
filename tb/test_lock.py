"""requirements.lock fits pyproject.toml, and this environment fits the lock."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
OWN = "exaq-softmax"
# Environments that the lock must serve.
PYTHONS = ["3.11", "3.12", "3.13"]


def plain(name: str) -> str:
    """A distribution's name as the lock spells it."""
    return str(canonicalize_name(name))


def locked(python: str) -> dict[str, str]:
    """Versions that the lock has for Linux on x86-64 with that Python, by name."""
    place = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
    }
    found = {}
    for line in LOCK.splitlines():
        if not line.lstrip().startswith("#"):
            entry = Requirement(line)
            if entry.marker is None or entry.marker.evaluate(place):
                (pin,) = entry.specifier
                assert (pin.operator, plain(entry.name) in found) == ("==", False), line
                found[plain(entry.name)] = pin.version
    return found


def asked() -> list[Requirement]:
    """All that pyproject.toml asks for, whatever it is for; not the project's own extras."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = told["project"]
    needs = [*told["build-system"]["requires"], *project["dependencies"]]
    for extra in (*project["optional-dependencies"].values(), *told["dependency-groups"].values()):
        needs += extra
    return [need for need in map(Requirement, needs) if need.name != OWN]


def misfits(needs: list[Requirement], versions: dict[str, str]) -> Iterator[str]:
    """What of ``needs`` is not in ``versions``, or there in a version that will not do."""
    for need in needs:
        version = versions.get(plain(need.name))
        if version is None or not need.specifier.contains(version, prereleases=True):
            yield f"{need} is asked for, the lock has {version or 'none'}: make lock mends it"


def installed(name: str, extras: frozenset[str] = frozenset()) -> Iterator[metadata.Distribution]:
    """Distribution ``name`` with ``extras`` and all that it brings here, some more than once.

    Not of torch, which users may choose themselves.
    """
    pending, seen = [(name, extras)], set()
    while pending:
        name, extras = one = pending.pop()
        if one in seen or plain(name) == "torch":
            continue
        seen.add(one)
        distribution = metadata.distribution(name)
        yield distribution
        for need in map(Requirement, distribution.requires or ()):
            places = [{"extra": extra} for extra in {"", *extras}]
            if need.marker is None or any(map(need.marker.evaluate, places)):
                pending.append((need.name, frozenset(need.extras)))


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_has_all_that_is_asked_for(python: str) -> None:
    assert len(asked()) > 20
    assert list(misfits(asked(), locked(python))) == []


def test_misfits_are_found() -> None:
    needs = [Requirement("a>=1"), Requirement("B.c==2"), Requirement("d>=3")]
    assert list(misfits(needs, {"a": "1.5", "b-c": "2.1"})) == [
        "B.c==2 is asked for, the lock has 2.1: make lock mends it",
        "d>=3 is asked for, the lock has none: make lock mends it",
    ]


def test_lock_names_no_host() -> None:
    assert re.findall(r"://|--(?:extra-)?index|--find-links|@", LOCK) == []


def test_environment_is_the_locks() -> None:
    versions = locked(".".join(map(str, sys.version_info[:2])))
    here = installed(OWN, frozenset({"dev"}))
    found = {plain(each.name): each.version for each in here if each.name != OWN}
    assert len(found) > 50
    other = {
        name: version
        for name, version in found.items()
        if name not in versions or Version(version).public != versions[name]
    }
    assert other == {}
