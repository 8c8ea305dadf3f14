"""The kept run of the SoC is of today's sources, and tells what it must."""

from __future__ import annotations

import json
import re
from pathlib import Path

from exaq_litex.example.example_record import record

ROOT = Path(__file__).resolve().parents[2]
REPORT = json.loads((ROOT / "reports/litex.json").read_text(encoding="utf-8"))


def test_kept_run_is_of_these_sources() -> None:
    for name, value in record().items():
        # Versions are kept, not compared: newer ones of LiteX are tried elsewhere.
        if name.endswith("_sha256"):
            assert REPORT[name] == value, "run: make litex"


def test_kept_run_passed() -> None:
    rows, differ, last = REPORT["console"]
    assert re.fullmatch(r"\d+ rows, 1 of them too long, \d+ beats in \d+ cycles", rows)
    assert differ.startswith("0 words differ")
    assert last == "PASSED"
