"""Proves what is said of the emitted text, where its record is missing or stale.

    python scripts/run_proofs.py                   what changed
    python scripts/run_proofs.py --all             everything
    python scripts/run_proofs.py -k 2bit-x4        proofs whose name has this
    python scripts/run_proofs.py --docs            and the table of docs/verification.md

tb/formal/formal_catalogue.py says what there is. Records are kept in reports/proofs.json, each as
soon as it is there. Needs Berkeley's ABC (Debian: berkeley-abc) beside the extra ``fpga``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tb" / "formal"), str(ROOT / "tb" / "model")]

import formal_records as records  # noqa: E402
from formal_catalogue import catalogue  # noqa: E402
from formal_engines import ABC, Answer, abc_command  # noqa: E402

from exaq.tool import ToolError  # noqa: E402


def main() -> int:
    """Exit code 1 where a claim does not hold, or a twin does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--all", action="store_true", help="those with a record, too")
    parser.add_argument("-k", default="", metavar="WORD", help="proofs whose name has it")
    parser.add_argument("--docs", action="store_true", help="draw the table of the documentation")
    parser.add_argument("--seconds", type=float, default=7200, help="begin none after so many")
    given = parser.parse_args()
    if abc_command() is None:
        print(f"error: none of {', '.join(ABC)} is on the path", file=sys.stderr)
        return 2
    proofs = catalogue()
    kept = {name: each for name, each in records.read().items() if name in map(records.key, proofs)}
    todo = [
        proof
        for proof in proofs
        if given.k in records.key(proof) and (given.all or records.stale(proof, kept))
    ]
    if not any(given.k in records.key(proof) for proof in proofs):
        print(f"error: no proof has {given.k!r} in its name", file=sys.stderr)
        return 2
    if not todo:
        print("nothing to prove: every record is of the text as it is")
    began, failed = time.monotonic(), 0
    for number, proof in enumerate(todo, 1):
        if time.monotonic() - began > given.seconds:
            print(f"{len(todo) - number + 1} are left")
            break
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="exaq-") as folder:
            try:
                answer, twin = proof.run(Path(folder))
            except ToolError as error:
                print(f"{records.key(proof)}: {error}", file=sys.stderr, flush=True)
                failed += 1
                continue
        seconds = time.monotonic() - start
        print(
            f"{number}/{len(todo)} {records.key(proof)}: {answer.value}, its twin {twin.value}, "
            f"{seconds:.0f} s",
            flush=True,
        )
        if answer is Answer.PROVED and twin is not Answer.PROVED:
            # Another run may have written since.
            kept = records.read() | {
                records.key(proof): records.record(proof, answer, twin, seconds)
            }
            records.write(
                {name: each for name, each in kept.items() if name in map(records.key, proofs)}
            )
        else:
            failed += 1
    if given.docs:
        page = records.PAGE.read_text(encoding="utf-8")
        text = records.with_table(page, records.table(proofs, records.read()))
        records.PAGE.write_text(text, encoding="utf-8")
    if todo:
        print(f"{failed} of {len(todo)} failed" if failed else "all hold")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
