"""Proofs of the emitted text: some anew in every run, and whether the records of all still hold."""

from __future__ import annotations

from pathlib import Path

import formal_records as records
import pytest
from formal_bound import bound_of
from formal_catalogue import KINDS, Proof, _rules, catalogue, emitted
from formal_engines import ABC, Answer, abc_command
from formal_unit import _made

from exaq import PRESETS, SoftmaxConfig

#: Those that a run proves: one of each kind, of small units; but for *boot*, which takes minutes.
QUICK = {
    "queue": "2bit-x4 core.sum_queue",
    "addresses": "2bit-x4 core.row_buffer",
    "contracts": "2bit-x4",
    "receiver": "2bit-x4",
    "beats": "2bit-x4 row_buffer to code_fifo",
    "quantizer": "4bit-x4",
    "sums": "3bit-x4 sum_rom0",
    "exponentials": "4bit-x4 normalizer_divider0_exp_rom",
    "divider": "full_rate_row 8, sum 3",
    "registers": "2bit-x4-c12",
    "working": "4bit-x4 normalizer",
    "progress": "2bit-x4",
    "bound": "baps-x4",
    "banks": "2bit-x4-c12 map",
    "whole": "1 lane, rows of 2",
    "frames": "buffer of 512",
    "requests": "2bit-x4 progress",
    "sender": "frames",
    "stuffing": "encoder",
}


@pytest.mark.simulator
@pytest.mark.skipif(abc_command() is None, reason=f"none of {', '.join(ABC)} is on the path")
@pytest.mark.parametrize("kind", QUICK)
def test_a_proof_of_each_kind(kind: str, tmp_path: Path) -> None:
    """The claim is proved; its twin, in which one thing is wrong, is refuted."""
    presets = {name.split()[0] for name in QUICK.values()} & set(PRESETS)
    few = catalogue(tuple(sorted(presets)))
    (proof,) = (each for each in few if (each.kind, each.name) == (kind, QUICK[kind]))
    answer, twin = proof.run(tmp_path)
    assert answer is Answer.PROVED
    assert twin is Answer.REFUTED


def test_one_of_each_kind_but_boot_is_proved_here() -> None:
    assert set(KINDS) - set(QUICK) == {"boot"}


def test_every_proof_has_a_record_of_the_text_as_it_is() -> None:
    """A change of the text, or of a claim, needs new proofs; the page shows what there are."""
    proofs, kept = catalogue(), records.read()
    names = [records.key(proof) for proof in proofs]
    assert len(set(names)) == len(names)
    assert set(kept) == set(names), f"other proofs; {records.CURE}"
    stale = [records.key(proof) for proof in proofs if records.stale(proof, kept)]
    assert not stale, f"of another text: {stale[:5]} and so on, {len(stale)}; {records.CURE}"
    assert {each["answer"] for each in kept.values()} == {Answer.PROVED.value}
    assert {each["twin"] for each in kept.values()} == {Answer.REFUTED.value}
    page = records.PAGE.read_text(encoding="utf-8")
    for (begin, end), table in (
        (records.MARKS, records.table(proofs, kept)),
        (records.BOUNDS, records.bounds()),
    ):
        shown = page.partition(f"{begin}\n")[2].partition(f"\n{end}")[0]
        assert shown == table, "`python scripts/run_proofs.py --docs` draws it anew"


def test_records_tell_a_changed_text(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = catalogue(("2bit-x1",))[0]
    kept = {records.key(proof): records.record(proof, Answer.PROVED, Answer.REFUTED, 1.0)}
    assert not records.stale(proof, kept)
    changed = Proof(
        proof.kind, proof.name, proof.text + "\n", proof.claims, proof.prove, proof.refute
    )
    assert records.stale(changed, kept)


def test_a_proof_depends_on_the_claims_and_provers_that_it_uses() -> None:
    queue, progress = (_rules(name) for name in ("formal_queue", "formal_progress"))
    for text in (queue, progress):
        assert "def induct(" in text
        assert "def queue_rules(" in text
    assert "def keeps_giving(" in progress
    assert "def keeps_giving(" not in queue
    assert "def register_rules(" not in queue + progress


def test_no_preset_is_left_out_of_progress() -> None:
    few = ("2bit-x4", "baps-x4", "2bit-x4-c12", "2bit-x4-sums")
    proofs = catalogue(few)
    for kind in ("progress", "bound"):
        assert tuple(each.name for each in proofs if each.kind == kind) == few
    working = {
        place for each in proofs if each.kind == "working" for place in (each.name, *each.others)
    }
    assert working == {
        *("2bit-x4 normalizer", "2bit-x4 emitter"),
        *(f"2bit-x4-c12 {name}" for name in ("row_thresholds", "normalizer", "emitter")),
    }


@pytest.mark.parametrize("preset", ["2bit-x4", "lut-x4", "softermax-x4", "baps-x4"])
def test_the_bound_is_above_what_a_row_takes(preset: str) -> None:
    """A longest row on its own takes its beats' cycles and the declared latency."""
    config = SoftmaxConfig(**PRESETS[preset])
    bound, unit = bound_of(emitted(preset), config), _made(config)
    assert bound.cycles > config.format.beats + unit.latency
    assert bound.pause < unit.latency
