"""A board's design, ready for the tools: the text of every file, and the commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq.release import as_compared
from exaq.scalars import integer
from exaq_fpga.boards import BoardLink, BoardSpec
from exaq_fpga.boards.devices import WITHOUT_DSP
from exaq_fpga.boards.frequency import megahertz
from exaq_fpga.flow.bitstreams.emitted_unit import emitted_unit
from exaq_fpga.gateware.board_top import BoardTop
from exaq_fpga.gateware.clock.pll import nearest_pll
from exaq_fpga.gateware.transports.of_link import transport_of
from exaq_fpga.link.protocol import Identity, UnitConfig, buffer_octets
from exaq_hdl.emit.design_hash import design_hash

#: Name of the top module, and of the tools' files.
TOP = "top"
#: nextpnr's report.
REPORT = f"{TOP}.report.json"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What ``prepare`` makes.

    Parameters
    ----------
    spec, config
        The board, and the unit's configuration.
    clock
        Of the unit, as it will be, in Hz.
    link
        How a host is connected.
    seed
        Of place and route.
    identity
        That the board will tell of itself.
    files
        Name and text of every file that the commands read.
    module
        Name of the unit's module, whose file is called by it.
    commands
        To be run one after another beside the files: a name of ``exaq_fpga.flow.tools``, and
        arguments.
    ports
        Names of the top module's ports, by ``clock``, the names of the link's ports, and ``led``
        if there is one.
    again
        Makes the same once more.
    """

    spec: BoardSpec
    config: UnitConfig
    clock: int
    link: BoardLink
    seed: int
    identity: Identity
    files: dict[str, str]
    module: str
    commands: tuple[tuple[str, ...], ...]
    ports: dict[str, str]
    again: Callable[[], Prepared]

    @property
    def softmax(self) -> SoftmaxConfig:
        """The configuration, which must be that of a softmax unit; else a ValueError."""
        if not isinstance(self.config, SoftmaxConfig):
            raise ValueError("the board holds an attention head, not a softmax unit")
        return self.config

    @property
    def netlist(self) -> str:
        """File that synthesis leaves: the netlist as JSON."""
        return f"{TOP}.syn.json" if self.spec.family == "gowin" else f"{TOP}.json"

    @property
    def bitstream(self) -> str:
        """File that the commands make in the end."""
        return TOP + self.spec.suffix

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all files, Verilog as by ``design_hash`` and whatever the release, and of the
        commands.
        """
        with as_compared():
            compared = self.again()
        files = {
            name: design_hash(text) if name.endswith(".v") else text
            for name, text in compared.files.items()
        }
        text = json.dumps([files, compared.commands], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Rates:
    """A design's clock as it will be, in Hz, what makes it, and the link that runs on it.

    ``pll`` is one of ``exaq_fpga.gateware.clock.pll``, or None: the clock pin's own clock.
    """

    clock: int
    pll: Any
    link: BoardLink


def usual_clock(spec: BoardSpec, config: UnitConfig) -> int:
    """The clock of a unit of ``config`` in Hz, where nothing else is asked for: the board's own, or
    half of it for an attention head, whose paths are longer.
    """
    return spec.clock // 2 if isinstance(config, AttentionConfig) else spec.clock


def settle_rates(spec: BoardSpec, clock: int | None = None, link: BoardLink | None = None) -> Rates:
    """The rates of a design for ``spec``; None stands for the board's own.

    Raises
    ------
    ValueError
        No PLL setting makes the clock, or the clock not the link's rate; the message tells what
        can be.
    """
    clock = spec.clock if clock is None else integer("the clock", clock)
    link = spec.link if link is None else link
    pll = None if clock == spec.reference else nearest_pll(spec.family, spec.reference, clock)
    made = clock if pll is None else round(pll.frequency)
    # Refuses a rate that the clock does not make.
    link.octet_cycles(made)
    return Rates(made, pll, link)


def prepare(
    spec: BoardSpec,
    config: UnitConfig | None = None,
    *,
    clock: int | None = None,
    link: BoardLink | None = None,
    seed: int = 1,
    dsp: bool = True,
    head: Mapping[str, Any] | None = None,
) -> Prepared:
    """The design of ``spec`` with a unit of ``config``; the same text every time.

    Parameters
    ----------
    config, clock, link
        The board's own by default; the clock in Hz, by default that of ``usual_clock``.
    seed
        Of place and route.
    dsp
        Whether multipliers may be the device's own.
    head
        How an attention head is made: arguments of ``exaq_hdl.emit.attention_verilog.
        emit_attention`` beside its configuration.

    Raises
    ------
    ValueError
        See ``settle_rates``; or a board's link cannot carry what the unit gives, or what ``head``
        says does not fit.
    """
    config, seed = spec.config if config is None else config, integer("seed", seed)
    rates = settle_rates(spec, usual_clock(spec, config) if clock is None else clock, link)
    identity = Identity(
        board=spec.name,
        config=config,
        clock=rates.clock,
        baud=rates.link.baud,
        buffer=buffer_octets(config),
    )
    platform = spec.new_platform()
    unit = emitted_unit(config, head or {})
    platform.add_file(f"{unit.module}.v", unit.verilog)
    top = BoardTop(
        spec,
        config,
        identity.to_octets(),
        unit.component,
        clock=rates.clock,
        pll=rates.pll,
        transport=transport_of(rates.link, rates.clock),
    )
    plan = platform.prepare(
        top,
        TOP,
        emit_src=False,
        synth_opts=" ".join((*spec.synth, *(() if dsp else WITHOUT_DSP[spec.family]))),
        nextpnr_opts=f"--freq {megahertz(rates.clock)} --seed {seed} --timing-allow-fail "
        f"--report {REPORT}",
    )
    scripts = ("build_",)
    files = {name: _text(content) for name, content in plan.files.items()}
    commands = json.loads(files[f"build_{TOP}.json"])["commands"]
    return Prepared(
        spec=spec,
        config=config,
        clock=rates.clock,
        link=rates.link,
        seed=seed,
        identity=identity,
        files={
            name: text
            for name, text in files.items()
            if not name.startswith(scripts) and not name.endswith(".debug.v")
        },
        module=unit.module,
        commands=tuple(_command(command) for command in commands),
        ports=_ports(platform, rates.link),
        again=partial(prepare, spec, config, clock=clock, link=link, seed=seed, dsp=dsp, head=head),
    )


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode()


def _command(words: list[str]) -> tuple[str, ...]:
    """A command of the plan's in the present tools' language.

    Amaranth calls the nextpnr-gowin of old, which nextpnr-himbaechel has replaced.
    """
    tool, *arguments = words
    if tool == "nextpnr-gowin":
        renamed = {"--family": "family", "--cst": "cst"}
        for option, name in renamed.items():
            at = arguments.index(option)
            arguments[at : at + 2] = ["--vopt", f"{name}={arguments[at + 1]}"]
    return (tool, *arguments)


def _ports(platform: Any, link: BoardLink) -> dict[str, str]:
    names = {"clock": platform.default_clk, **link.ports}
    ports = {}
    for name, _, _ in platform._design.ports:
        for what, beginning in names.items():
            if name.startswith(beginning):
                ports[what] = name
                break
        else:
            ports["led"] = name
    return ports
