"""``exaq board`` and ``exaq demo-board``, from outside."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from run_exaq import python, refusal, run_exaq

import exaq
from exaq import SoftmaxConfig
from exaq.data import AttentionSample, load_attention_sample
from exaq_cli.commands.board import demo_board
from exaq_fpga.boards import BOARDS
from exaq_fpga.virtual.virtual_board import Faults

CONFIG = SoftmaxConfig(max_row=32)
OPTIONS = ["--virtual", "icebreaker", "--max-row", "32"]
SECONDS = 120


@contextmanager
def running(folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """``exaq board ARGS``, once it has its port; killed in the end where it still runs."""
    process = subprocess.Popen(
        [*python(), "-m", "exaq_cli.main", "board", *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_port(process: subprocess.Popen[str]) -> dict[str, str]:
    """The lines that it prints until it can be connected to, by their names."""
    assert process.stdout is not None
    lines = {}
    for line in process.stdout:
        name, _, text = line.rstrip("\n").partition(" ")
        lines[name] = text.strip()
        if "Ctrl-C" in line:
            break
    return lines


def stream(folder: Path, port: str) -> subprocess.CompletedProcess[str]:
    logits = np.random.default_rng(0).integers(-128, 127, (40, 32), np.int8, endpoint=True)
    np.save(folder / "logits.npy", logits)
    done = run_exaq("stream", "logits.npy", "--port", port, "-o", "probs.npy", folder=folder)
    assert done.returncode == 0, done.stderr
    given = np.load(folder / "probs.npy")
    np.testing.assert_array_equal(given, exaq.softmax(logits, CONFIG))
    return done


@pytest.mark.simulator
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_stream_through_a_board_until_it_is_ended(tmp_path: Path, end: signal.Signals) -> None:
    link = tmp_path / "board"
    # As a board that was killed leaves it.
    link.symlink_to("/dev/no-such-terminal")
    with running(tmp_path, *OPTIONS, "--link", "board") as process:
        lines = until_port(process)
        assert lines["Board"] == "iCEBreaker, iCE40 UP5K, virtual"
        assert lines["Configuration"].endswith("4 lanes; rows up to 32 elements")
        assert lines["Clock"] == "24 MHz; serial port at 6000000 baud, 4 cycles a bit"
        assert lines["Port"] == "board"
        assert lines["Next"] == "exaq stream LOGITS.npy --port board -o PROBS.npy"
        assert link.is_symlink()
        for _ in range(2):
            assert "0 against the golden model" in stream(tmp_path, lines["Port"]).stdout
        process.send_signal(end)
        output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert not link.is_symlink()
    for name in ("Simulated", "Serial port", "Line busy"):
        assert f"\n{name} " in output
    assert "Faults" not in output


@pytest.mark.simulator
def test_it_ends_by_itself(tmp_path: Path) -> None:
    done = run_exaq("board", *OPTIONS, "--for", "0.5", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nSerial port   0 octets to the board, 0 from it\n" in done.stdout


@pytest.mark.simulator
def test_stream_by_udp(tmp_path: Path) -> None:
    by_udp = ["--virtual", "colorlight-5a75b", "--udp", "10.9.8.7", "--double", "0.1"]
    with running(tmp_path, *by_udp) as process:
        lines = until_port(process)
        assert lines["Clock"] == "100 MHz; Ethernet at 100 Mbit/s, 8 cycles an octet"
        port = lines["Port"]
        assert port.startswith("udp:127.0.0.1:")
        assert lines["Next"] == f"exaq stream LOGITS.npy --port {port} -o PROBS.npy"
        stream(tmp_path, port)
        message = refusal(
            "stream", "logits.npy", "--port", port, "--baud", "9600", "-o", "x.npy", folder=tmp_path
        )
        assert message == f"a baud rate is for serial ports, and {port} is none"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert "\nBy UDP        " in output
    assert " double" in output


@pytest.mark.simulator
def test_faults(tmp_path: Path) -> None:
    faults = ["--noise", "1e-4", "--drop", "1e-3", "--double", "1e-3", "--break", "1e-3"]
    with running(tmp_path, *OPTIONS, *faults, "--garbage", "1e-3") as process:
        stream(tmp_path, until_port(process)["Port"])
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    (line,) = (line for line in output.splitlines() if line.startswith("Faults"))
    counts = line.removeprefix("Faults").split(",")
    assert {text.split()[1] for text in counts} <= {"noise", "drop", "double", "breaks", "garbage"}
    assert sum(int(text.split()[0]) for text in counts) > 3


@pytest.mark.simulator
def test_waves(tmp_path: Path) -> None:
    baud = ["--baud", "1000000"]
    with running(tmp_path, *OPTIONS, *baud, "--waves", "board.vcd") as process:
        lines = until_port(process)
        assert lines["Clock"] == "24 MHz; serial port at 1000000 baud, 24 cycles a bit"
        assert not (tmp_path / "board.vcd").exists()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert output.endswith("Written       board.vcd\n")
    with (tmp_path / "board.vcd").open(encoding="utf-8") as file:
        assert file.readline().startswith("$")
    assert [path.name for path in tmp_path.iterdir()] == ["board.vcd"]


def test_refusals(tmp_path: Path) -> None:
    def refused(*args: str) -> str:
        return refusal("board", *args, folder=tmp_path)

    message = refused()
    assert message.startswith("this command runs a virtual board, compiled for this machine: name")
    assert all(name in message for name in BOARDS)
    assert "'fpga1' is not one of 'icebreaker'" in refused("--virtual", "fpga1")
    assert "the fastest is 6000000 baud" in refused(*OPTIONS, "--baud", "8000000")
    assert "Invalid value for '--noise': 2.0 is not in the range" in refused(*OPTIONS, "--noise=2")
    assert "Invalid value for '--for': 0.0 is not in the range" in refused(*OPTIONS, "--for", "0")
    assert refused("--virtual", "icebreaker", "--lanes", "0").startswith("lanes must")
    by_udp = ("--virtual", "ecpix5-85", "--udp", "10.0.0.2")
    assert refused(*by_udp, "--break", "0.1") == "--break is for the serial port, not for --udp"
    assert refused(*by_udp, "--link", "port") == "--link is for the pseudo-terminal, not for --udp"
    assert refused(*OPTIONS, "--reorder", "0.1") == "--reorder is for --udp"
    assert refused(*OPTIONS, "--udp", "10.0.0.2").startswith("icebreaker has no Ethernet")
    (tmp_path / "file").touch()
    assert refused(*OPTIONS, "--waves", "file/x.vcd").startswith("cannot write file/x.vcd: ")


@pytest.mark.simulator
def test_link_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("mine", encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(tmp_path / "board")
    for name in ("board", "elsewhere"):
        message = refusal("board", *OPTIONS, "--link", name, "--for", "1", folder=tmp_path)
        assert message == f"cannot make the link {name}: there is a file of that name"
    assert elsewhere.readlink() == tmp_path / "board"
    message = refusal("board", *OPTIONS, "--link", "no/board", "--for", "1", folder=tmp_path)
    assert message == "cannot make the link no/board: No such file or directory"


def test_compiler_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    message = refusal("board", *OPTIONS, folder=tmp_path)
    assert message.startswith("the C++ compiler no-such-compiler was not found")


@pytest.fixture
def short_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo with the rows of a single text and head, and faults that those will meet."""
    sample = load_attention_sample()
    short = AttentionSample(
        **(vars(sample) | {"logits": sample.logits[:, :1, :1], "lengths": sample.lengths[:1]})
    )
    config = BOARDS["icebreaker"].config.replace(max_row=128)
    monkeypatch.setattr(demo_board, "load_attention_sample", lambda: short)
    monkeypatch.setattr(demo_board, "HEADS", 1)
    monkeypatch.setattr(demo_board, "default_config", lambda: config)
    monkeypatch.setattr(demo_board, "FAULTS", Faults(drop=1e-3))


@pytest.mark.simulator
@pytest.mark.usefixtures("short_demo")
def test_demo() -> None:
    done = CliRunner().invoke(demo_board.command, [], standalone_mode=False)
    assert (done.exception, done.return_value) == (None, 0)
    rows = table(done.output)
    assert rows["Rows"] == ["128", "128"]
    assert rows["Mismatches"] == ["0", "0"]
    assert rows["drop"][0] == rows["sent again"][0] == "0"
    assert int(rows["drop"][1]) > 5
    assert int(rows["sent again"][1]) > 0


@pytest.mark.simulator
@pytest.mark.usefixtures("short_demo")
def test_demo_finds_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    right = exaq.softmax

    def wrong(*args: object) -> object:
        probabilities = right(*args)  # type: ignore[arg-type]
        probabilities.flat[0] += 1
        return probabilities

    monkeypatch.setattr(exaq, "softmax", wrong)
    done = CliRunner().invoke(demo_board.command, [], standalone_mode=False)
    assert done.return_value == 1
    assert "The board differs from the golden model." in done.output
    assert table(done.output)["Mismatches"] == ["1", "1"]


def table(output: str) -> dict[str, list[str]]:
    """The two figures of each line, by its name."""
    lines = iter(output.splitlines())
    while "Good line" not in next(lines):
        pass
    split = (line.rsplit(None, 2) for line in iter(lambda: next(lines).strip(), ""))
    return {name: figures for name, *figures in split}
