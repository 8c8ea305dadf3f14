"""What a file beside the Verilog is made from, and which there are.

>>> from exaq_hdl.emit.companions.companion import REGISTER_RDL
>>> REGISTER_RDL.names("softmax")
('softmax.rdl',)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from exaq import SoftmaxConfig

if TYPE_CHECKING:
    from exaq_hdl.emit.verilog import Emitted


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit that was emitted.

    Members
    -------
    config : what it was made of, of a head its softmax
    emitted : its Verilog and manifest
    stem : name of the Verilog file without .v; files beside it begin with it
    """

    config: SoftmaxConfig
    emitted: Emitted
    stem: str

    @property
    def name(self) -> str:
        """The top module."""
        return str(self.emitted.manifest["name"])


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A file, or several, beside the Verilog.

    Members
    -------
    title : what a person is told that it is
    module : where its function ``texts`` is, which takes a Unit and gives the texts of the files,
        in the order of ``names``
    names : the files' names, from the stem of the Verilog file's
    """

    title: str
    module: str
    names: Callable[[str], tuple[str, ...]]

    def texts(self, unit: Unit) -> tuple[str, ...]:
        """The files' texts."""
        # Imported late: what there is to choose needs no Amaranth.
        found: tuple[str, ...] = import_module(self.module).texts(unit)
        return found


C_HEADER = Companion(
    title="C header", module="exaq_hdl.emit.c_header", names=lambda stem: (f"{stem}.h",)
)
REGISTER_RDL = Companion(
    title="SystemRDL",
    module="exaq_hdl.emit.companions.system_rdl",
    names=lambda stem: (f"{stem}.rdl",),
)
FUSESOC_CORE = Companion(
    title="FuseSoC",
    module="exaq_hdl.emit.companions.fusesoc_core",
    names=lambda stem: (f"{stem}.core", f"{stem}_tb.v"),
)
IP_XACT = Companion(
    title="IP-XACT",
    module="exaq_hdl.emit.companions.ip.ip_xact",
    names=lambda _: ("component.xml",),
)
VIVADO_PACKAGE = Companion(
    title="Vivado script",
    module="exaq_hdl.emit.companions.ip.vivado_package",
    names=lambda stem: (f"{stem}_package.tcl",),
)
VHDL_COMPONENT = Companion(
    title="VHDL",
    module="exaq_hdl.emit.companions.ip.vhdl_component",
    names=lambda stem: (f"{stem}.vhd",),
)
#: What --ip writes, beside attributes in the Verilog.
IP = (IP_XACT, VIVADO_PACKAGE, VHDL_COMPONENT)
