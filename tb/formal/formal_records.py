"""What was proved, and of which text: reports/proofs.json, and the table drawn from it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from formal_bound import bound_of
from formal_catalogue import KINDS, Proof, emitted
from formal_engines import Answer

from exaq import PRESETS, SoftmaxConfig
from exaq_cli.files import write_text

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "reports" / "proofs.json"
PAGE = ROOT / "docs" / "verification.md"
MARKS = ("<!-- proofs:begin -->", "<!-- proofs:end -->")
BOUNDS = ("<!-- bounds:begin -->", "<!-- bounds:end -->")
CURE = "`make prove` proves it"


def read() -> dict[str, dict[str, Any]]:
    """The record of each proof that has one, by its key."""
    if not RECORDS.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(RECORDS.read_text(encoding="utf-8"))
    return found


def key(proof: Proof) -> str:
    """A proof's name in the records."""
    return f"{proof.kind}: {proof.name}"


def keep(new: Mapping[str, dict[str, Any]], proofs: Iterable[Proof]) -> None:
    """Puts records into the place of those before, whoever else writes others; of proofs that there
    are no more, they go.
    """
    lock = ROOT / "build" / "proofs.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found, names = {**read(), **new}, sorted(map(key, proofs))
        lines = (
            f"{json.dumps(name)}: {json.dumps(found[name])}" for name in names if name in found
        )
        with write_text(RECORDS) as file:
            file.write("{\n" + ",\n".join(lines) + "\n}\n")


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
        "| what is proved | proofs | places | twins refuted | seconds |",
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
        figures = f"{number} | {places} | {refuted} | {seconds:.0f}"
        lines.append(f"| **{kind}**: {meaning} | {figures} |")
    return "\n".join(lines)


def bounds() -> str:
    """Markdown: for each preset within how many cycles a row leaves, and what that follows from."""
    lines = [
        "| preset | cycles between two moves | moves | cycles until a row has left |",
        "| --- | --: | --: | --: |",
    ]
    for preset, given in PRESETS.items():
        bound = bound_of(emitted(preset), SoftmaxConfig(**given))
        lines.append(f"| `{preset}` | {bound.pause} | {bound.moves} | {bound.cycles} |")
    return "\n".join(lines)
