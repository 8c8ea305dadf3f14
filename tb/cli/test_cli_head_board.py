"""``exaq stream`` and ``exaq board`` with ``--unit attention``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_board import FakeBoard
from fake_head import FakeHead
from head_messages import KEYS_VALUES, QUERIES
from run_exaq import refusal, run_exaq
from test_cli_board import running, until_port

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig, attend

CONFIG = AttentionConfig(head_size=16, lanes=2, max_row=16, logit_scale=2**-5, causal=True)
WORDS = ("--unit", "attention", "q.npy", "k.npy", "v.npy", "-o", "o.npy")


def save(folder: Path, *, heads: int = 3, rows: int = 20, keys: int = 16) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(heads)
    q = rng.integers(-9, 10, (heads, rows, 16)).astype(np.int8)
    k = rng.integers(0, 16, (heads, keys, 16)).astype(np.uint8)
    v = rng.integers(-128, 128, (heads, keys, 16))
    for name, array in (("q", q), ("k", k), ("v", v)):
        np.save(folder / f"{name}.npy", array)
    return q, k, v


def test_heads_end_to_end(tmp_path: Path) -> None:
    given = save(tmp_path)
    with FakeHead(CONFIG) as fake:
        done = run_exaq(
            "stream", *WORDS, "--port", fake.port, "--json", "run.json", folder=tmp_path
        )
    assert (done.returncode, done.stderr) == (0, "")
    found = np.load(tmp_path / "o.npy")
    np.testing.assert_array_equal(found, attend(*given, config=CONFIG))
    assert found.dtype == np.int16
    figures = json.loads((tmp_path / "run.json").read_text())
    assert (figures["heads"], figures["rows"], figures["keys"]) == (3, 60, 16)
    assert (figures["mismatches"], figures["payload_octets"]) == (0, found.nbytes)
    assert figures["config"] == CONFIG.to_dict()
    lines = dict(re.split("  +", line, maxsplit=1) for line in done.stdout.splitlines())
    assert list(lines) == [
        *("Board", "Clock", "Configuration", "Heads", "Rows", "Time", "Payload", "Link"),
        *("Mismatches", "Written"),
    ]
    assert lines["Configuration"] == (
        "causal attention head of 16 elements, dint4 keys; 2 bits, clip -5.17; 2 lanes; up to 16 "
        "keys"
    )
    assert (lines["Heads"], lines["Rows"]) == ("3, of 16 keys", "60")
    assert "kB/s of outputs" in lines["Payload"]
    assert lines["Mismatches"] == "0 against the golden model"


def test_mismatches_exit_with_1_and_are_written(tmp_path: Path) -> None:
    given = save(tmp_path)

    def alter(number: int, message: bytes) -> bytes:
        wrong = message[0] == QUERIES | 0x80 and message[2] ^ 1
        return message[:2] + bytes([wrong]) + message[3:] if wrong is not False else message

    with FakeHead(CONFIG, alter=alter) as fake:
        done = run_exaq("stream", *WORDS, "--port", fake.port, folder=tmp_path)
        quiet = run_exaq("stream", *WORDS, "--no-verify", "--port", fake.port, folder=tmp_path)
    assert done.returncode == 1
    differing = np.count_nonzero(np.load(tmp_path / "o.npy") != attend(*given, config=CONFIG))
    assert differing
    assert f"Mismatches          {differing} against the golden model" in done.stdout
    assert quiet.returncode == 0
    assert "Mismatches          not looked for" in quiet.stdout


def test_a_board_that_fails_on_the_way_exits_with_3(tmp_path: Path) -> None:
    save(tmp_path)

    def forget(number: int, message: bytes) -> bytes:
        fake.model.complete &= message[0] != KEYS_VALUES | 0x80
        return message

    with FakeHead(CONFIG, alter=forget) as fake:
        done = run_exaq("stream", *WORDS, "--port", fake.port, folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr == (
        "exaq: error: the board was reset in the meantime and has lost its keys\n"
    )
    assert not (tmp_path / "o.npy").exists()


def test_boards_of_the_other_unit_are_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path)
    with FakeBoard(SoftmaxConfig(max_row=64)) as fake:
        message = refusal("stream", *WORDS, "--port", fake.port, folder=tmp_path)
        assert "the board fake holds a softmax unit, not an attention head" in message
    with FakeHead(CONFIG) as head:
        message = refusal("stream", "q.npy", "-o", "p.npy", "--port", head.port, folder=tmp_path)
        assert message.endswith(
            "the board fake holds an attention head, not a softmax unit: exaq_fpga.HeadBoard, or "
            "exaq stream --unit attention, talks to it"
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--unit", "attention", "q.npy", "k.npy"),
            "--unit attention takes three files, of q, k and v, not 2",
        ),
        (("q.npy", "k.npy"), "k.npy is one file too many: q, k and v need --unit attention"),
        (
            ("--unit", "attention", "q.npy", "k.npy", "v.npy", "--float-output"),
            "--float-output does not go with --unit attention",
        ),
        (
            ("--unit", "attention", "q.npy", "k.npy", "v.npy", "--mask", "m.npy"),
            "--mask does not go with --unit attention",
        ),
        (
            ("--unit", "attention", "q.npy", "k.npy", "v.npy", "--bits", "3"),
            "an option of a configuration does not go with --unit attention",
        ),
        (
            ("--unit", "attention", "q.npy", "float.npy", "v.npy"),
            "float.npy must hold integer values, not float64",
        ),
    ],
)
def test_bad_commands(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    save(tmp_path)
    np.save(tmp_path / "float.npy", np.zeros((3, 16, 16)))
    assert refusal("stream", *words, "-o", "o.npy", "--port", "none", folder=tmp_path) == message


def test_operands_that_the_board_does_not_take(tmp_path: Path) -> None:
    save(tmp_path, keys=17)
    with FakeHead(CONFIG) as fake:
        message = refusal("stream", *WORDS, "--port", fake.port, folder=tmp_path)
    assert message == "keys of a head must be in 1..16, not 17"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--head-size", "16"), "--head-size is not for the unit softmax"),
        (("--unit", "attention", "--preset", "2bit-x4"), "--preset is not for the unit attention"),
        (
            ("--unit", "attention", "--outputs-per-beat", "3"),
            "outputs_per_beat must be a power of two that divides head_size (64), not 3",
        ),
    ],
)
def test_boards_that_cannot_be(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert refusal("board", "--virtual", "ulx3s-85f", *words, folder=tmp_path) == message


@pytest.mark.simulator
def test_a_virtual_board(tmp_path: Path) -> None:
    save(tmp_path)
    words = ("--virtual", "ulx3s-85f", "--unit", "attention", "--head-size", "16", "--lanes", "2")
    more = ("--max-row", "16", "--logit-scale", "0.03125", "--causal", "--link", "board")
    with running(tmp_path, *words, *more) as process:
        lines = until_port(process)
        assert lines["Configuration"].startswith("causal attention head of 16 elements")
        assert lines["Clock"] == "50 MHz; serial port at 12500000 baud, 4 cycles a bit"
        assert lines["Next"] == (
            "exaq stream --unit attention Q.npy K.npy V.npy --port board -o O.npy"
        )
        done = run_exaq("stream", *WORDS, "--port", "board", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Mismatches          0 against the golden model" in done.stdout
