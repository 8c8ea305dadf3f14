"""The softmax unit in Amaranth HDL, and its Verilog. Needs the extra ``rtl``, once it is used."""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from exaq.extras import needing

__all__ = ["TOPS", "AxiSoftmax", "Emitted", "FlatSoftmax", "Softmax", "emit_verilog"]

if sys.version_info >= (3, 13) and find_spec("amaranth") is not None:
    from exaq_hdl.tracer import bridge_tracer

    bridge_tracer()

if TYPE_CHECKING:
    from exaq_hdl.emit.verilog import Emitted, emit_verilog
    from exaq_hdl.shell.axi import AxiSoftmax
    from exaq_hdl.shell.core import FlatSoftmax
    from exaq_hdl.shell.row_shell import Softmax
    from exaq_hdl.shell.tops import TOPS
else:
    _HOMES = {
        "AxiSoftmax": "exaq_hdl.shell.axi",
        "FlatSoftmax": "exaq_hdl.shell.core",
        "Softmax": "exaq_hdl.shell.row_shell",
    } | dict.fromkeys(("TOPS", "Emitted", "emit_verilog"), "exaq_hdl.emit.verilog")

    def __getattr__(name: str) -> Any:
        # Imported late: the register map, which is here too, needs no Amaranth.
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with needing("exaq_hdl"):
            return getattr(import_module(_HOMES[name]), name)
