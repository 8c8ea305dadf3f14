"""``exaq stream`` as a user calls it, with a board in Python at a pseudo-terminal."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_board import ROWS, Device, FakeBoard, Noise
from rich.console import Console
from run_exaq import run_exaq

import exaq
import exaq_cli.commands.board.stream
from exaq import SoftmaxConfig, TableFile, Tables, TableSet
from exaq_cli.main import main
from exaq_cosim import golden
from exaq_fpga import Board

CONFIG = SoftmaxConfig(lanes=2, max_row=128)
CONTEXTS = SoftmaxConfig(max_row=128, contexts=3)
SETS = [
    TableSet(name=name, tables=Tables(thresholds=(low, -4, 0), exp_rom=(1, 2, 3, 8192)))
    for name, low in (("first", -90), ("second", -9))
]
TABLES = TableFile(bits=2, logit_width=8, logit_scale=0.0625, exp_frac=13, sets=tuple(SETS))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``exaq stream logits.npy -o probs.npy`` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    # A board that is not there is given up soon.
    monkeypatch.setattr(
        exaq_cli.commands.board.stream,
        "Board",
        lambda transport: Board(transport, timeout=0.2, retries=3),
    )

    def call(port: object, *args: object) -> tuple[int, str, str]:
        words = ["logits.npy", "-o", "probs.npy", "--port", str(port), *map(str, args)]
        with pytest.raises(SystemExit) as ended:
            main(["stream", *words])
        captured = capsys.readouterr()
        return int(str(ended.value.code)), captured.out, captured.err

    return call


def save(name: str, array: Any) -> np.ndarray[Any, Any]:
    np.save(name, array)
    return np.asarray(array)


def logits(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@contextmanager
def untouched() -> Iterator[None]:
    before = files()
    yield
    assert files() == before


def one_line(err: str) -> str:
    assert err.startswith("exaq: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("exaq: error: ").rstrip("\n")


def test_integers_end_to_end(run: Run) -> None:
    x = save("logits.npy", logits(6, 50, 96))
    with FakeBoard(CONFIG) as fake:
        code, out, err = run(fake.port, "--json", "run.json")
    assert (code, err) == (0, "")
    assert fake.complaints == []
    probabilities = np.load("probs.npy")
    np.testing.assert_array_equal(probabilities, exaq.softmax(x, CONFIG))
    assert probabilities.dtype == np.uint16
    figures = json.loads(Path("run.json").read_text())
    assert figures["mismatches"] == 0
    assert (figures["rows"], figures["elements"]) == (300, 300 * 96)
    assert figures["payload_octets"] == 2 * 300 * 96
    seconds = figures["seconds"]
    assert figures["rows_per_second"] == pytest.approx(300 / seconds)
    assert figures["payload_octets_per_second"] == pytest.approx(600 * 96 / seconds)
    assert figures["payload_share"] == pytest.approx(600 * 96 / seconds / 100_000)
    assert figures["config"] == CONFIG.to_dict()
    assert figures["link"]["resent"] == figures["link"]["dropped"] == 0
    # All that the link carried: 2 octets an element, and less than a tenth more.
    assert 1 < figures["link"]["received"] / figures["payload_octets"] < 1.1
    lines = dict(re.split("  +", line, maxsplit=1) for line in out.splitlines())
    assert list(lines) == [
        *("Board", "Clock", "Configuration", "Rows", "Elements", "Time", "Payload", "Link"),
        *("Mismatches", "Written"),
    ]
    assert lines["Board"] == "fake, built by version 1.2.3"
    assert lines["Clock"] == "24 MHz"
    assert lines["Configuration"] == "2 bits, clip -5.17, 2 lanes"
    assert (lines["Rows"], lines["Elements"]) == ("300", "28,800")
    assert re.fullmatch(r"\d+\.\d\d s, [\d,]+ rows/s", lines["Time"])
    assert re.fullmatch(
        r"\d+\.\d kB/s of probabilities, \d+% of what 1,000,000 baud allow", lines["Payload"]
    )
    assert lines["Link"] == (
        f"{figures['link']['requests']} requests, 0 of them sent again; 0 damaged frames "
        "received, damage reported 0 times by the board"
    )
    assert lines["Mismatches"] == "0 against the golden model"
    assert lines["Written"] == "probs.npy, run.json"


def test_floats_are_quantized_with_the_boards_scale(run: Run) -> None:
    config = CONFIG.replace(logit_scale=0.5)
    x = save("logits.npy", np.random.default_rng(2).normal(0, 8, (40, 30)))
    with FakeBoard(config) as fake:
        code, _, err = run(fake.port, "--float-output")
    assert (code, err) == (0, "")
    expected = exaq.softmax(exaq.logits_to_integers(x, config), config)
    np.testing.assert_array_equal(np.load("probs.npy"), expected / 2**16)


def test_lengths_and_mask(run: Run) -> None:
    rng = np.random.default_rng(3)
    x = save("logits.npy", logits(4, 20, 60))
    lengths = save("lengths.npy", rng.integers(1, 61, 20))
    mask = save("mask.npy", rng.random((20, 60)) < 0.7)
    with FakeBoard(CONFIG) as fake:
        code, _, err = run(fake.port, "--lengths", "lengths.npy", "--mask", "mask.npy")
    assert (code, err) == (0, "")
    expected = golden(x, CONFIG, lengths=lengths, mask=mask)
    np.testing.assert_array_equal(np.load("probs.npy"), expected)


class TestContexts:
    def test_tables_of_the_build(self, run: Run) -> None:
        TABLES.save("heads.json")
        config = TABLES.config(max_row=128)
        x = save("logits.npy", logits(40, 60))
        contexts = save("contexts.npy", np.arange(40) % 2)
        with FakeBoard(config) as fake:
            with untouched():
                code, _, err = run(fake.port)
            assert (code, one_line(err)) == (
                2,
                "the board's 2 contexts hold different tables: give --contexts-of, the context of "
                "each row",
            )
            code, _, err = run(fake.port, "--tables", "heads.json", "--contexts-of", "contexts.npy")
        assert (code, err) == (0, "")
        expected = exaq.softmax(x, config, contexts=contexts)
        np.testing.assert_array_equal(np.load("probs.npy"), expected)

    def test_tables_loaded_into_the_running_board(self, run: Run) -> None:
        TABLES.save("heads.json")
        x = save("logits.npy", logits(40, 60))
        contexts = save("contexts.npy", np.arange(40) % 3)
        with FakeBoard(CONTEXTS) as fake:
            code, out, err = run(
                *(fake.port, "--tables", "heads.json", "--load", "--contexts-of", "contexts.npy"),
                *("--json", "run.json"),
            )
            assert (code, err) == (0, "")
            assert "Loaded              2 sets of tables" in out.splitlines()
            each = (SETS[0].tables, SETS[1].tables, CONTEXTS.tables)
            loaded = CONTEXTS.replace(context_tables=each)
            expected = exaq.softmax(x, loaded, contexts=contexts)
            np.testing.assert_array_equal(np.load("probs.npy"), expected)
            assert json.loads(Path("run.json").read_text())["config"] == loaded.to_dict()
            assert fake.tables == list(each)
            # Whose tables the third context holds, the next program cannot know.
            with untouched():
                code, _, err = run(
                    *(fake.port, "--tables", "heads.json", "--load"),
                    *("--contexts-of", "contexts.npy"),
                )
            assert code == 2
            assert one_line(err) == (
                "another program has loaded tables into the board, so those of context 2 are "
                "unknown: load them anew, or reset the board (--load with --tables loads them)"
            )

    def test_one_set_by_its_name(self, run: Run) -> None:
        TABLES.save("heads.json")
        x = save("logits.npy", logits(4, 60))
        save("zeros.npy", np.array(0))
        with FakeBoard(CONTEXTS) as fake:
            code, _, err = run(
                *(fake.port, "--tables", "heads.json", "--tables-name", "second", "--load"),
                *("--contexts-of", "zeros.npy"),
            )
        assert (code, err) == (0, "")
        loaded = CONTEXTS.replace(context_tables=(SETS[1].tables,) * 3)
        np.testing.assert_array_equal(np.load("probs.npy"), exaq.softmax(x, loaded))

    @pytest.mark.parametrize(
        ("board", "options", "message"),
        [
            (
                CONFIG,
                ["--tables", "heads.json", "--load"],
                "the board has no contexts, so no tables can be loaded into it",
            ),
            (
                CONTEXTS.replace(contexts=1),
                ["--tables", "heads.json", "--load"],
                "2 sets of tables do not fit the board's 1 contexts",
            ),
            (
                CONTEXTS.replace(logit_scale=0.25),
                ["--tables", "heads.json", "--load"],
                "the board was built for another configuration: logit_scale 0.25, not 0.0625. "
                "Leave out the options, or build the board with them",
            ),
            (
                CONTEXTS,
                ["--tables", "heads.json"],
                "the board was built for another configuration: contexts 3, not 2; other tables. "
                "Leave out the options, or build the board with them",
            ),
            (CONTEXTS, ["--load"], "--load needs --tables, the file of the tables to load"),
            (
                CONFIG,
                ["--contexts-of", "zeros.npy"],
                "a configuration without contexts takes no contexts",
            ),
        ],
    )
    def test_refusals(
        self, run: Run, board: SoftmaxConfig, options: list[str], message: str
    ) -> None:
        TABLES.save("heads.json")
        save("logits.npy", logits(4, 60))
        save("zeros.npy", np.array(0))
        with FakeBoard(board) as fake, untouched():
            code, out, err = run(fake.port, *options)
        assert (code, out, one_line(err)) == (2, "", message)
        assert fake.counters["loads"] == fake.counters["rows"] == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--bits", 2, "--max-row", 128, "--lanes", 2],
        ["--lanes", 2],
        ["--masking"],
        ["--sigma", 2],
        ["--clip", CONFIG.clip],
        ["--contexts", 0],
        ["--preset", "2bit-x4", "--lanes", 2, "--max-row", 128],
    ],
)
def test_options_that_agree_with_the_board(run: Run, options: list[object]) -> None:
    save("logits.npy", logits(4, 60))
    with FakeBoard(CONFIG) as fake:
        code, _, err = run(fake.port, *options)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--bits", 3], "bits 2, not 3"),
        (["--lanes", 4, "--prob-bits", 12], "lanes 2, not 4; prob_bits 16, not 12"),
        (["--sigma", 3], "clip -5.17, not -6.83"),
        (["--no-masking"], "masking True, not False"),
        (["--contexts", 2], "contexts 0, not 2"),
        (["--preset", "2bit-x1", "--max-row", 128], "lanes 2, not 1; full_rate_row 64, not 32"),
    ],
)
def test_options_that_differ_from_the_board(run: Run, options: list[object], found: str) -> None:
    save("logits.npy", logits(4, 60))
    with FakeBoard(CONFIG) as fake, untouched():
        code, out, err = run(fake.port, *options)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"the board was built for another configuration: {found}")
    assert ROWS not in fake.asked


class Faulty(FakeBoard):
    """A unit with a wrong bit in one row of ten."""

    def golden(self, logits: list[int], live: list[bool], config: SoftmaxConfig) -> Any:
        return super().golden(logits, live, config) ^ (self.counters["rows"] % 10 == 3)


def test_mismatches_exit_with_1_and_are_written(run: Run) -> None:
    x = save("logits.npy", logits(20, 30))
    with Faulty(CONFIG) as fake:
        code, out, err = run(fake.port, "--json", "run.json")
    assert (code, err) == (1, "")
    assert "Mismatches          60 against the golden model" in out.splitlines()
    assert json.loads(Path("run.json").read_text())["mismatches"] == 60
    wrong = np.load("probs.npy") != exaq.softmax(x, CONFIG)
    assert wrong.any(axis=1).nonzero()[0].tolist() == [3, 13]


def test_without_verification_nothing_is_compared(run: Run) -> None:
    save("logits.npy", logits(20, 30))
    with Faulty(CONFIG) as fake:
        code, out, _ = run(fake.port, "--no-verify", "--json", "run.json")
    assert code == 0
    assert "Mismatches          not looked for" in out.splitlines()
    assert "mismatches" not in json.loads(Path("run.json").read_text())


def test_noise_is_told_and_changes_nothing(run: Run) -> None:
    x = save("logits.npy", logits(200, 60))
    towards, back = Noise(1, 1e-3, begin=40), Noise(2, 1e-3, begin=700)
    with FakeBoard(CONFIG, from_host=towards, to_host=back) as fake:
        code, out, err = run(fake.port, "--json", "run.json")
    assert (code, err) == (0, "")
    np.testing.assert_array_equal(np.load("probs.npy"), exaq.softmax(x, CONFIG))
    link = json.loads(Path("run.json").read_text())["link"]
    assert min(link["resent"], link["dropped"], link["reports"]) > 0
    assert f"{link['dropped']} damaged frames received" in out


def test_a_link_that_fails_on_the_way_exits_with_3(run: Run) -> None:
    save("logits.npy", logits(200, 60))
    with FakeBoard(CONFIG, silent_from=9) as fake, untouched():
        code, out, err = run(fake.port, "--json", "run.json")
    assert (code, out) == (3, "")
    assert one_line(err) == (
        "the board does not answer any more: 3 requests for its status, 0.2 s apart, were in vain"
    )


def test_a_row_that_the_board_flags_exits_with_3(run: Run) -> None:
    save("logits.npy", logits(20, 60))

    def flag(number: int, answer: bytes) -> bytes:
        return answer[:-1] + b"\2" if answer[0] == 0x80 | ROWS else answer

    with FakeBoard(CONFIG, alter=flag) as fake, untouched():
        code, out, err = run(fake.port)
    assert (code, out) == (3, "")
    assert one_line(err) == "the board reports an error in rows 0 to 14 (status 2)"


def test_no_board_exits_with_2(run: Run) -> None:
    save("logits.npy", logits(20, 60))
    with untouched():
        code, out, err = run("nowhere")
        assert (code, out) == (2, "")
        assert one_line(err).startswith("there is no port nowhere; ")
        with Device() as device:
            code, out, err = run(device.port, "--baud", 115200)
        assert (code, out) == (2, "")
        assert one_line(err).startswith(f"nothing answers at {device.port} with 115200 baud: ")


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (None, [], "cannot read logits.npy: No such file or directory"),
        (np.zeros((2, 129), np.int8), [], "a row must have 1..128 elements, not 129"),
        (np.full((2, 9), 300), [], "logits of 8 bits must be in -128..127, not 300"),
        (
            np.zeros((2, 9), np.int8),
            ["--json", "probs.npy"],
            "cannot write probs.npy: two outputs of one command have that name",
        ),
        (
            np.zeros((2, 9), np.int8),
            ["--baud", 0],
            "Invalid value for '--baud': 0 is not in the range x>=1.",
        ),
    ],
)
def test_bad_input_exits_with_2(run: Run, array: Any, options: list[object], message: str) -> None:
    if array is not None:
        save("logits.npy", array)
    with FakeBoard(CONFIG) as fake, untouched():
        code, out, err = run(fake.port, *options)
    assert (code, out, one_line(err)) == (2, "", message)
    assert ROWS not in fake.asked


def test_the_port_is_asked_for(tmp_path: Path) -> None:
    done = run_exaq("stream", "logits.npy", "-o", "probs.npy", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr) == "Missing option '--port'."


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_board_is_ready_after_a_run_that_was_cut_off(run: Run, number: int, code: int) -> None:
    save("logits.npy", logits(20_000, 60))
    under_way = threading.Event()

    def alter(count: int, answer: bytes) -> bytes:
        if count == 30:
            under_way.set()
        return answer

    with FakeBoard(CONFIG, alter=alter) as fake:
        words = ["stream", "logits.npy", "-o", "probs.npy", "--port", fake.port]
        process = subprocess.Popen(
            [sys.executable, "-m", "exaq_cli.main", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert under_way.wait(60)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == code
        assert (out, err.strip()) == ("", "")
        assert not Path("probs.npy").exists()
        if number == signal.SIGINT:
            assert files() == ["logits.npy"]
        x = save("logits.npy", logits(300, 50))
        code, _, err = run(fake.port)
        assert (code, err) == (0, "")
        np.testing.assert_array_equal(np.load("probs.npy"), exaq.softmax(x, CONFIG))
    assert fake.complaints == []


def test_a_terminal_shows_rows_and_their_rate(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(exaq_cli.commands.board.stream, "_CONSOLE", console)
    save("logits.npy", logits(300, 60))
    with FakeBoard(CONFIG) as fake:
        assert run(fake.port)[0] == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "Looking for a board at" in shown
    assert re.search(r"Streaming .*300/300.* [\d,]+ rows/s", shown)


def test_codes_results_and_windows(run: Run) -> None:
    config = SoftmaxConfig(lanes=2, max_row=128, output="codes", window=True)
    x = save("logits.npy", logits(3, 20, 24))
    with FakeBoard(config) as fake:
        code, out, err = run(fake.port, "--results", "rows.npz", "--causal", "--json", "run.json")
        with untouched():
            refused = run(fake.port, "--float-output")
    assert (code, err) == (0, "")
    window = exaq.causal_windows(20, 24)
    np.testing.assert_array_equal(np.load("probs.npy"), exaq.quantize(x, config, window=window))
    expected = exaq.row_results(x, config, window=window)
    with np.load("rows.npz") as rows:
        found = dict(rows)
    assert sorted(found) == ["maximum", "sum", "table"]
    for name, array in expected.arrays().items():
        np.testing.assert_array_equal(found[name], array)
    figures = json.loads(Path("run.json").read_text())
    assert (figures["mismatches"], figures["result_mismatches"]) == (0, 0)
    # An octet a code; maximum, 3 octets of sum and 4 probabilities of 2 octets a row.
    assert figures["payload_octets"] == 60 * (24 + 1 + 3 + 8)
    assert "0 elements, 0 rows' results against the golden model" in out
    assert "kB/s of codes, " in out
    assert refused[0] == 2
    assert one_line(refused[2]) == "--float-output needs a unit that gives probabilities, not codes"


def test_results_of_a_board_without(run: Run) -> None:
    save("logits.npy", logits(3, 24))
    with FakeBoard(CONFIG) as fake, untouched():
        code, _, err = run(fake.port, "--results", "rows.npz")
    assert code == 2
    assert one_line(err) == "--results needs a unit with row results: the board was built without"
