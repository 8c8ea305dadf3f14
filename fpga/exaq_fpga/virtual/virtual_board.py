"""A virtual board that runs: a process with a port for hosts to open."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from exaq.scalars import integer, real
from exaq.tool import ToolError, how_it_ended

# Longest time from the end being asked for to the end.
_END_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What disturbs a link, in both directions; every value is a probability.

    Parameters
    ----------
    noise
        Of a bit on the line to be flipped, start and stop bits included.
    drop
        Of an octet, or with Ethernet of a frame, to be lost.
    double
        Of an octet, or of a frame, to come twice.
    breaks
        UART only: of a break before an octet, the line low for 12 bits.
    reorder
        Ethernet only: of a frame to come behind the next one.
    garbage
        Of 1 to 16 octets that nobody sent before an octet; or before a frame, of one that is not
        for the board, a runt, or damaged.
    """

    noise: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    breaks: float = 0.0
    reorder: float = 0.0
    garbage: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = float(real(field.name, getattr(self, field.name)))
            object.__setattr__(self, field.name, value)
            if not 0 <= value <= 1:
                raise ValueError(f"{field.name} is a probability, 0 to 1, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class RunStatistics:
    """What a virtual board did, from its start to its end.

    Members
    -------
    cycles
        Of the board's clock that were simulated.
    octets_in, octets_out
        Of the link, that went over the line to the board, and that the board sent.
    answer_cycles
        From the start of the first octet that the board sent to the end of the last, without the
        time in which both lines rested until the host wrote: the board had nothing to do then.
    broken
        What the board sent and no board may send: octets without stop bit, or Ethernet frames
        that anything is wrong with.
    octet_cycles
        Cycles of an octet on the line.
    faults
        Faults put on the lines, by their names in ``Faults``.
    seconds, standing
        How long it ran, and for how much of that time stood still.
    """

    cycles: int
    octets_in: int
    octets_out: int
    answer_cycles: int
    broken: int
    octet_cycles: int
    faults: dict[str, int]
    seconds: float
    standing: float

    @property
    def busy(self) -> float:
        """Share of ``answer_cycles`` in which the board was sending."""
        return self.line_share(self.octets_out)

    def line_share(self, octets: int) -> float:
        """Share of ``answer_cycles`` that ``octets`` take on the line."""
        return octets * self.octet_cycles / max(self.answer_cycles, 1)

    @property
    def cycles_per_second(self) -> float:
        """Simulated cycles to a second, while time does not stand still."""
        return self.cycles / max(self.seconds - self.standing, 1e-9)


class VirtualBoard:
    """A running virtual board; a context manager that starts and ends it.

    Simulated time stands still while the board has nothing to do and while nobody takes what it
    sends: an idle board uses no processor, and no octet is lost but by ``faults``.

    Parameters
    ----------
    program
        What ``compile_board`` gave.
    faults
        What disturbs the lines.
    seed
        Of the faults: the same seed does the same to the same octets.
    linger
        Cycles without anything on the lines after which the board is taken to have nothing to
        do. At least as many as it may think between two octets.
    patience
        Seconds that simulated time waits for the host's next octet after a frame has gone to it.
    waves
        File to write the waves to; the program must have been compiled for it.

    Members
    -------
    port
        Where hosts find it, one after the other: path of a pseudo-terminal, which they open as a
        serial port, or a name as of ``exaq_fpga.UdpSocket``.
    """

    def __init__(
        self,
        program: Path,
        *,
        faults: Faults | None = None,
        seed: int = 0,
        linger: int = 1 << 18,
        patience: float = 0.01,
        waves: Path | None = None,
    ) -> None:
        settings = {
            "seed": integer("seed", seed),
            "linger": integer("linger", linger, 0),
            "patience": round(1000 * real("patience", patience)),
            # A program knows the faults of its own link alone.
            **{name: value for name, value in vars(faults or Faults()).items() if value},
        }
        options = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        if waves is not None:
            options += ["--waves", str(waves)]
        self.port = ""
        self._command = [str(program), *options]
        self._process: subprocess.Popen[str] | None = None
        self._statistics: RunStatistics | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()

    @property
    def pid(self) -> int | None:
        """Of its process, while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the board; when this returns, ``port`` can be opened.

        Raises
        ------
        ToolError
            The program cannot be run.
        """
        try:
            # A session of its own: Ctrl-C at the terminal is for the one who started it.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"{self._command[0]} cannot be run: {error.strerror}") from error
        assert self._process.stdout is not None
        self.port = self._process.stdout.readline().rstrip("\n")
        if not self.port:
            process, self._process = self._process, None
            _, errors = process.communicate()
            raise ToolError(f"the virtual board {how_it_ended(process.returncode, errors)}")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the board ends by itself, for ``seconds`` at most; whether it did."""
        try:
            self._running().wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> RunStatistics:
        """End the board; the same statistics every time.

        Raises
        ------
        ToolError
            The program failed.
        """
        if self._statistics is None:
            process, self._process = self._running(), None
            try:
                # The end of its standard input ends it.
                output, errors = process.communicate(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise ToolError("the virtual board does not end") from None
            if process.returncode:
                raise ToolError(f"the virtual board {how_it_ended(process.returncode, errors)}")
            self._statistics = RunStatistics(**json.loads(output.splitlines()[-1]))
        return self._statistics

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ToolError("the virtual board does not run")
        return self._process
