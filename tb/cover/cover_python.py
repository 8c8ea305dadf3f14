"""Branches of the Python packages that the tests reach: reports/coverage.json, ``python``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

#: Folders of tb whose tests count. The regression's simulations run packages in other processes.
FOLDERS = (
    *("model", "unit", "link", "cosim", "cli", "data", "formal", "fpga", "litex", "asic", "eval"),
    "pytorch",
)
#: The packages, by where they lie.
PACKAGES = {
    "exaq": "sim/exaq",
    "exaq_cosim": "sim/exaq_cosim",
    "exaq_eval": "sim/exaq_eval",
    "exaq_hdl": "hdl/exaq_hdl",
    "exaq_fpga": "fpga/exaq_fpga",
    "exaq_litex": "fpga/exaq_litex",
    "exaq_explore": "fpga/exaq_explore",
    "exaq_asic": "asic/exaq_asic",
    "exaq_cli": "scripts/exaq_cli",
}
PYTHON_MARKS = ("<!-- make coverage-python -->", "<!-- python coverage ends -->")
#: Share of branches that each package is to have.
ENOUGH = 0.95


def figures(report: Mapping[str, Any], folders: Sequence[str]) -> dict[str, Any]:
    """Branches and those that were taken, by package, of a report of the package coverage."""
    found: dict[str, Counter[str]] = {name: Counter() for name in PACKAGES}
    for file, each in report["files"].items():
        path = PurePosixPath(file)
        for name, folder in PACKAGES.items():
            if path.is_relative_to(folder):
                summary = each["summary"]
                found[name] += Counter(
                    branches=summary["num_branches"],
                    taken=summary["covered_branches"],
                    statements=summary["num_statements"],
                    run=summary["covered_lines"],
                )
    return {
        "folders": list(folders),
        "packages": {name: dict(each) for name, each in found.items()},
    }


def share(package: Mapping[str, int]) -> float:
    """Of a package's branches those that were taken."""
    return package.get("taken", 0) / max(package.get("branches", 0), 1)


def python_table(found: Mapping[str, Any]) -> str:
    """The page's table."""
    lines = ["| package | statements | run | branches | taken |", "|---|--:|--:|--:|--:|"]
    for name, each in found["packages"].items():
        run = each.get("run", 0) / max(each.get("statements", 0), 1)
        lines.append(
            f"| `{name}` | {each.get('statements', 0)} | {run:.1%} | {each.get('branches', 0)} | "
            f"{share(each):.1%} |"
        )
    return "\n".join(lines)
