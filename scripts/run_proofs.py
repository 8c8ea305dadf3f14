"""Proves what is said of the emitted text, where its record is missing or stale.

    python scripts/run_proofs.py                   what changed
    python scripts/run_proofs.py --all             everything
    python scripts/run_proofs.py -k 2bit-x4        proofs whose name has this
    python scripts/run_proofs.py --docs            and the tables of docs/verification.md

tb/formal/formal_catalogue.py says what there is. Records are kept in reports/proofs.json, each as
soon as it is there. Needs Berkeley's ABC (Debian: berkeley-abc) beside the extra ``fpga``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tb" / "formal"), str(ROOT / "tb" / "model")]

import formal_records as records  # noqa: E402
from formal_catalogue import Proof, catalogue  # noqa: E402
from formal_engines import ABC, Answer, abc_command  # noqa: E402

from bench_macs import write_table  # noqa: E402
from exaq.tool import ToolError  # noqa: E402


def main() -> int:
    """Exit code 1 where a claim is not proved, or a twin not refuted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--all", action="store_true", help="those with a record, too")
    parser.add_argument("-k", default="", metavar="WORD", help="proofs whose name has it")
    parser.add_argument("--docs", action="store_true", help="draw the tables of the documentation")
    parser.add_argument("--seconds", type=float, default=7200, help="begin none after so many")
    given = parser.parse_args()
    if abc_command() is None:
        print(f"error: none of {', '.join(ABC)} is on the path", file=sys.stderr)
        return 2
    proofs, kept = catalogue(), records.read()
    named = [proof for proof in proofs if given.k in records.key(proof)]
    if not named:
        print(f"error: no proof has {given.k!r} in its name", file=sys.stderr)
        return 2
    todo = [proof for proof in named if given.all or records.stale(proof, kept)]
    began, failed = time.monotonic(), 0
    for number, proof in enumerate(todo, 1):
        if time.monotonic() - began > given.seconds:
            print(f"{len(todo) - number + 1} are left")
            break
        found = _run(proof, f"{number}/{len(todo)}")
        records.keep(found, proofs)
        failed += not found
    if given.docs:
        write_table(records.PAGE, records.table(proofs, records.read()), records.MARKS)
        write_table(records.PAGE, records.bounds(), records.BOUNDS)
    if not todo:
        print("nothing to prove: every record is of the text as it is")
    else:
        print(f"{failed} of {len(todo)} failed" if failed else "all hold")
    return int(failed > 0)


def _run(proof: Proof, place: str) -> dict[str, dict[str, Any]]:
    """The proof's record by its name; nothing where it fails, or its twin is not refuted."""
    start, name = time.monotonic(), records.key(proof)
    with tempfile.TemporaryDirectory(prefix="exaq-") as folder:
        try:
            answer, twin = proof.run(Path(folder))
        except ToolError as error:
            print(f"{place} {name}: {error}", file=sys.stderr, flush=True)
            return {}
    seconds = time.monotonic() - start
    told = f"{answer.value}, its twin {twin.value}, {seconds:.0f} s"
    print(f"{place} {name}: {told}", flush=True)
    if (answer, twin) != (Answer.PROVED, Answer.REFUTED):
        return {}
    return {name: records.record(proof, answer, twin, seconds)}


if __name__ == "__main__":
    sys.exit(main())
