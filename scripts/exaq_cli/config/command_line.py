"""Settings as the words of a command line: what ``config_options`` reads, written."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def generate_line(
    kernel: str, settings: Mapping[str, Any], tables: Path | None, out: str = "softmax.v"
) -> str:
    """The ``exaq generate`` that makes the unit of a kernel with these settings.

    Parameters
    ----------
    kernel, settings
        As ``exaq.SoftmaxConfig`` takes them: numbers and words.
    tables
        File of its tables, which says the format of the logits too; None: it has none.
    out
        The Verilog file.
    """
    words = ["exaq", "generate", "--kernel", kernel]
    for name, value in settings.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    if tables is not None:
        words += ["--tables", str(tables)]
    return shlex.join([*words, "-o", out])
