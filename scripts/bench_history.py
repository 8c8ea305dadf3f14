"""How size and clock of the published units moved, commit by commit: docs/history.md.

Reads the reports of `make bench` as each commit had them. What reports/history.json has already is
kept, so that a clone without the past, or a report that was renamed, loses nothing.

    python scripts/bench_history.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_macs import write_table
from exaq_cli.files import write_text
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow.bench import CASES

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ROOT / "reports" / "history.json"
PAGE = ROOT / "docs" / "history.md"
PICTURE = ROOT / "docs" / "history.png"
MARKS = ("<!-- make history -->", "<!-- history ends -->")

#: Of a report at a commit: when, which, and the figures. A report that is not committed yet has no
#: commit and no time.
Point = dict[str, Any]


def main() -> int:
    """The exit code: 2 where git cannot tell of the past."""
    kept: dict[str, list[Point]] = {}
    if HISTORY.exists():
        kept = json.loads(HISTORY.read_text(encoding="utf-8"))
    try:
        found = {
            case.name: merged(kept.get(case.name, []), [*past(f"{case.name}.json")])
            for case in CASES
        }
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"bench_history: error: {error}", file=sys.stderr)
        return 2
    with write_text(HISTORY) as file:
        file.write(json.dumps(found, indent=1) + "\n")
    write_table(PAGE, table(found), MARKS)
    draw(found, PICTURE)
    print(table(found))
    return 0


def past(name: str) -> Iterator[Point]:
    """A report's figures at each commit that changed it, and as it lies there, oldest first."""
    path = f"reports/{name}"
    log = _git("log", "--reverse", "--format=%h %cI", "--diff-filter=AM", "--", path)
    for line in log.splitlines():
        commit, time = line.split()
        yield {"commit": commit, "time": time} | figures(
            json.loads(_git("show", f"{commit}:{path}"))
        )
    yield {"commit": "", "time": ""} | figures(
        json.loads((ROOT / path).read_text(encoding="utf-8"))
    )


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def figures(report: Mapping[str, Any]) -> Point:
    """What is followed of a report."""
    return {"lut4": report["size"]["lut4"], "mhz": report["mhz"]["median"]}


def merged(kept: Sequence[Point], found: Sequence[Point]) -> list[Point]:
    """Points in the order of their commits, each where the figures changed."""
    known = {point["commit"] for point in found}
    older = [point for point in kept if point["commit"] and point["commit"] not in known]
    committed = sorted((*older, *found[:-1]), key=lambda point: point["time"])
    points: list[Point] = []
    for point in (*committed, found[-1]):
        if not points or any(point[each] != points[-1][each] for each in ("lut4", "mhz")):
            points.append(point)
    return points


def table(history: Mapping[str, Sequence[Point]]) -> str:
    """The page's table: each unit's first figures, and the last."""
    lines = [
        "| configuration | device | measured since | LUT4 then | now | MHz then | now | changes |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for case in CASES:
        points = history[case.name]
        first, last = points[0], points[-1]
        device = DEVICES[case.device].title + (", plain `synth_ecp5`" if case.plain else "")
        since = f"{first['time'][:10]} (`{first['commit']}`)" if first["commit"] else "this commit"
        cells = [
            *(case.title, device, since, f"{first['lut4']}", f"{last['lut4']}"),
            *(f"{first['mhz']:.0f}", f"{last['mhz']:.0f}", f"{len(points) - 1}"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(history: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Lookup tables and clock of the units on ECP5 whose figures changed, over the commits."""
    # Only here: tables need no pictures.
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    moved = [
        case
        for case in CASES
        if case.device == "ecp5-85" and not case.plain and len(history[case.name]) > 1
    ]
    points = [point for case in moved for point in history[case.name]]
    # A report that is not committed yet is the last.
    commits = [
        each for _, each in sorted({(point["time"] or "~", point["commit"]) for point in points})
    ]
    places = {commit: place for place, commit in enumerate(commits)}
    figure, panels = pyplot.subplots(2, 1, figsize=(9.0, 8.0), sharex=True)
    for axes, name, label in zip(panels, ("lut4", "mhz"), ("LUT4", "MHz"), strict=True):
        for case in moved:
            its = history[case.name]
            x = [places[point["commit"]] for point in its] + [len(commits)]
            y = [point[name] for point in its] + [its[-1][name]]
            axes.plot(x, y, drawstyle="steps-post", marker="o", markersize=3, label=case.preset)
        axes.set(ylabel=label, yscale="log" if name == "lut4" else "linear")
        axes.grid(alpha=0.3)
    panels[1].set_xticks(
        range(len(commits)), [commit or "now" for commit in commits], rotation=90, fontsize=6
    )
    panels[0].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(path, format="png", dpi=90, metadata={"Software": None})
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
