"""The documentation as a site: it builds strictly, no link breaks, nothing is of another host."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass
class Page(HTMLParser):
    """What a page of HTML links to, what a browser fetches for it, and its anchors."""

    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "src" in given:
            self.fetched.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.fetched.append(given["href"])


def read(text: str) -> Page:
    page = Page()
    page.feed(text)
    return page


def faults(pages: dict[Path, Page]) -> Iterator[str]:
    """Links that lead nowhere, and what is fetched from elsewhere than the site."""
    for path, page in pages.items():
        for address in page.links + page.fetched:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if address in page.fetched:
                    yield f"{path.name} fetches {address}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{path.name} links to {address}, which is not there"
            elif parts.fragment and target in pages:
                known = pages[target].anchors
                if unquote(parts.fragment) not in known and parts.fragment != "__skip":
                    yield f"{path.name} links to {address}, which has no such place"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the site, built as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    paths = [path for path in folder.rglob("*.html") if path.name != "404.html"]
    return {path: read(path.read_text(encoding="utf-8")) for path in paths}


def test_no_link_is_broken_and_nothing_is_fetched_from_elsewhere(site: dict[Path, Page]) -> None:
    assert len(site) > 12
    assert list(faults(site)) == []


def test_every_page_is_in_the_site(site: dict[Path, Page]) -> None:
    names = {path.stem for path in site}
    assert {path.stem for path in (ROOT / "docs").rglob("*.md")} <= names


@pytest.mark.parametrize("name", ["exaq", "exaq.torch", "exaq_fpga"])
def test_api_pages_have_every_public_object(site: dict[Path, Page], name: str) -> None:
    anchors = set().union(*(page.anchors for page in site.values()))
    public = importlib.import_module(name).__all__
    assert public
    assert [each for each in public if f"{name}.{each}" not in anchors] == []


def test_faults_are_found(tmp_path: Path) -> None:
    text = (
        '<a href="b.html#x">x</a><a href="b.html#y">y</a><a href="c.html">c</a>'
        '<a href="https://a.org">a</a><script src="https://a.org/s.js"></script>'
    )
    pages = {tmp_path / "a.html": read(text), tmp_path / "b.html": read('<h2 id="x">x</h2>')}
    for path in pages:
        path.touch()
    assert list(faults(pages)) == [
        "a.html links to b.html#y, which has no such place",
        "a.html links to c.html, which is not there",
        "a.html fetches https://a.org/s.js",
    ]


def test_docstrings_become_markdown() -> None:
    spec = importlib.util.spec_from_file_location("docstrings", ROOT / "docs/docstrings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (
        "Of 2**a and ``2**b``.\n\nParameters\n----------\nx, y\n    Both.\nz\n    One.\n\n"
        "Members\n-------\nm\n    It.\n"
    )
    assert module.markdown(text) == (
        "Of 2\\*\\*a and ``2**b``.\n\nParameters\n----------\nx\n    Both.\ny\n    Both.\n"
        "z\n    One.\n\nAttributes\n----------\nm\n    It.\n"
    )


def anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_links_of_the_readme_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", README) if "://" not in link]
    assert len(links) > 10
    for link in links:
        path, _, fragment = link.partition("#")
        target = ROOT / path if path else ROOT / "README.md"
        assert target.exists(), link
        if fragment:
            text = target.read_text(encoding="utf-8")
            titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            assert fragment in [anchor(title) for title in titles], link


def test_readme_is_short() -> None:
    assert README.count("\n") <= 150
