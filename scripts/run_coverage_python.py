"""Measures which branches of the Python packages all tests reach, to reports/coverage.json.

Runs the tests of one folder of tb after the other, each in a process, with the package coverage.
Data of folders that were run before can be used again: it stays in build/coverage.

    python scripts/run_coverage_python.py --docs
    python scripts/run_coverage_python.py model link     these folders; the others' data is kept
    python scripts/run_coverage_python.py --none         no tests, the figures of the data there is
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tb" / folder) for folder in ("cover", "rtl")]

from cover_python import FOLDERS, PYTHON_MARKS, figures, python_table  # noqa: E402
from cover_report import PAGE, read_coverage, write_coverage  # noqa: E402

from bench_macs import write_table  # noqa: E402

BUILD = ROOT / "build" / "coverage"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where tests fail, 2 where the figures cannot be made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="of tb; default: all")
    parser.add_argument("--docs", action="store_true", help="write the table of the page")
    parser.add_argument("--none", action="store_true", help="run no tests")
    options = parser.parse_args(arguments)
    if unknown := set(options.folders) - set(FOLDERS):
        parser.error(f"there is no folder {min(unknown)}; there are {', '.join(FOLDERS)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    wanted = [] if options.none else options.folders or list(FOLDERS)
    failed = [folder for folder in wanted if not _run(folder)]
    try:
        found = _figures()
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"run_coverage_python: error: {error}", file=sys.stderr)
        return 2
    write_coverage({**read_coverage(), "python": found})
    text = python_table(found)
    print(text)
    if options.docs:
        write_table(PAGE, text, PYTHON_MARKS)
    return int(bool(failed))


def _data(folder: str) -> Path:
    return BUILD / f"{folder}.data"


def _run(folder: str) -> bool:
    """Whether the tests of a folder passed."""
    for old in BUILD.glob(f"{folder}.data*"):
        old.unlink()
    coverage = [sys.executable, "-m", "coverage"]
    done = subprocess.run(
        [*coverage, "run", "-m", "pytest", "-q", "-p", "no:xdist", f"tb/{folder}"],
        cwd=ROOT,
        env=os.environ | {"COVERAGE_FILE": str(_data(folder))},
        check=False,
    )
    # A process that is still ending has not given its file the hash in its name.
    pieces = [str(path) for path in BUILD.glob(f"{folder}.data.*.H*")]
    subprocess.run(
        [*coverage, "combine", f"--data-file={_data(folder)}", "--quiet", *pieces],
        cwd=ROOT,
        check=True,
    )
    return done.returncode == 0


def _figures() -> dict[str, Any]:
    """Of all data that there is, in the report's form."""
    folders = [folder for folder in FOLDERS if _data(folder).is_file()]
    whole, out = BUILD / "whole.data", BUILD / "whole.json"
    coverage = [sys.executable, "-m", "coverage"]
    pieces = [str(_data(folder)) for folder in folders]
    subprocess.run(
        [*coverage, "combine", "--keep", "--quiet", f"--data-file={whole}", *pieces],
        cwd=ROOT,
        check=True,
    )
    subprocess.run(
        [*coverage, "json", "--quiet", f"--data-file={whole}", "-o", str(out)], cwd=ROOT, check=True
    )
    return figures(json.loads(out.read_text(encoding="utf-8")), folders)


if __name__ == "__main__":
    sys.exit(main())
