"""Which runs of the regression are simulated, and what is said of them at the end.

The options are in tb/conftest.py: pytest looks for options before it comes here.
"""

from __future__ import annotations

import pytest
from rtl_matrix import QUICK, RUNS

#: The test that simulates a run.
SIMULATION = "test_emitted_verilog"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out simulations that are neither quick nor asked for."""
    if config.getoption("simulate") != "quick":
        return
    out = [
        item
        for item in items
        if getattr(item, "originalname", "") == SIMULATION
        and item.name.partition("[")[2][:-1] not in QUICK
    ]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """With --record, say how many runs were simulated, and what all of them did not show."""
    config = terminalreporter.config
    if not config.getoption("record") or config.getoption("collectonly"):
        return
    from rtl_records import forget_others, missed, read_plan, read_records

    forget_others()
    records = read_records()
    if set(records) == set(RUNS):
        for text in missed(read_plan(), records):
            terminalreporter.write_line(f"never hit in the whole regression: {text}", red=True)
    ran = current = 0
    passed = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name == "run" and report.when == "call":
                    current += value == "current"
                    ran += value == "simulated"
                    passed += value == "simulated" and outcome == "passed"
    terminalreporter.write_line(
        f"regression: {ran} simulated, {passed} of them passed, {current} were current; "
        f"{len(set(RUNS) - set(records))} of {len(RUNS)} runs have no record"
    )
