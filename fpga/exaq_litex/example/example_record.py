"""What a run of the example holds for: its sources and its unit."""

import hashlib
from importlib import metadata, resources
from importlib.resources.abc import Traversable

from exaq_hdl.emit.compared_hash import compared_hash
from exaq_litex.example.sample_rows import example_config

_SOURCES = (".c", ".cpp", ".h", ".py")


def record() -> dict[str, str]:
    """SHA-256 of this package's sources and of the unit's design, and the versions of LiteX."""
    digest = hashlib.sha256()
    for name, text in sorted(_texts(resources.files("exaq_litex"), "")):
        digest.update(f"{name}:{len(text)}:{text}".encode())
    return {
        "sources_sha256": digest.hexdigest(),
        "unit_sha256": compared_hash(example_config()),
        **{name: metadata.version(name) for name in ("litex", "migen", "pythondata-cpu-vexriscv")},
    }


def _texts(folder: Traversable, above: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for each in folder.iterdir():
        name = f"{above}/{each.name}"
        if each.is_dir():
            found += _texts(each, name)
        elif name.endswith(_SOURCES):
            found.append((name, each.read_text(encoding="utf-8")))
    return found
