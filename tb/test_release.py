"""What a release says of itself is the same everywhere, and the workflow runs what there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_versions_are_one() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    assert loaded("CITATION.cff")["version"] == version
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", CHANGELOG, re.M)
    assert released[0] == version
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"This is version {version.removesuffix('.0')}." in readme


def test_the_citation_has_what_the_format_asks_for() -> None:
    citation = loaded("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert all("name" in each or "family-names" in each for each in citation["authors"])
    for each in citation["references"]:
        assert {"type", "title", "authors"} <= each.keys()


def test_the_workflow_runs_what_there_is() -> None:
    (job,) = loaded(".github/workflows/ci.yml")["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[0] == ".ci/run"
    rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for run in runs[1:]:
        make, target = run.split()
        assert make == "make"
        assert target in rules
    kept = {step["with"]["path"] for step in job["steps"] if "upload" in step.get("uses", "")}
    assert kept == {"build/docs", "build/dist"}


def test_links_of_the_pages_for_contributors_lead_somewhere() -> None:
    for page in (ROOT / ".github").glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
