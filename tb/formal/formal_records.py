"""What was proved, and of which text: reports/proofs.json, and the table drawn from it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from formal_catalogue import KINDS, Proof
from formal_engines import Answer

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "reports" / "proofs.json"
PAGE = ROOT / "docs" / "verification.md"
MARKS = ("<!-- proofs:begin -->", "<!-- proofs:end -->")
CURE = "`make prove` proves it"


def read(path: Path = RECORDS) -> dict[str, dict[str, Any]]:
    """The record of each proof that has one, by its key."""
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def key(proof: Proof) -> str:
    """A proof's name in the records."""
    return f"{proof.kind}: {proof.name}"


def write(records: dict[str, dict[str, Any]], path: Path = RECORDS) -> None:
    """Puts the records in the place of those before, whole or not at all."""
    partial = path.with_suffix(".partial")
    lines = (f"{json.dumps(name)}: {json.dumps(records[name])}" for name in sorted(records))
    partial.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    partial.replace(path)


def record(proof: Proof, answer: Answer, twin: Answer, seconds: float) -> dict[str, Any]:
    """What is kept of a proof."""
    return {
        "sha256": proof.sha256,
        "answer": answer.value,
        "twin": twin.value,
        "seconds": round(seconds, 1),
    }


def stale(proof: Proof, records: dict[str, dict[str, Any]]) -> bool:
    """Whether there is no record of the proof as it is today."""
    return records.get(key(proof), {}).get("sha256") != proof.sha256


def table(proofs: Iterable[Proof], records: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row for each kind, with how many there are and how long they took."""
    lines = [
        "| what is proved | proofs | places | twins: refuted, else not proved | seconds |",
        "| --- | --: | --: | --: | --: |",
    ]
    for kind, meaning in KINDS.items():
        found = [proof for proof in proofs if proof.kind == kind]
        kept = [records[key(proof)] for proof in found if not stale(proof, records)]
        proved = sum(each["answer"] == Answer.PROVED.value for each in kept)
        refuted = sum(each["twin"] == Answer.REFUTED.value for each in kept)
        places = sum(1 + len(proof.others) for proof in found)
        seconds = sum(each["seconds"] for each in kept)
        number = f"{proved}" if proved == len(found) else f"{proved} of {len(found)}"
        figures = f"{number} | {places} | {refuted}, {len(kept) - refuted} | {seconds:.0f}"
        lines.append(f"| **{kind}**: {meaning} | {figures} |")
    return "\n".join(lines)


def with_table(page: str, text: str) -> str:
    """The page with ``text`` between its marks."""
    before, rest = page.split(MARKS[0])
    _, behind = rest.split(MARKS[1])
    return f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{behind}"
