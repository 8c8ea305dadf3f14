"""The softmax unit in Amaranth HDL, and its Verilog."""

from exaq_hdl.axi import AxiSoftmax
from exaq_hdl.emit import TOPS, Emitted, emit_verilog
from exaq_hdl.flat import FlatSoftmax
from exaq_hdl.softmax import Softmax
from exaq_hdl.tracer import bridge_tracer

__all__ = ["TOPS", "AxiSoftmax", "Emitted", "FlatSoftmax", "Softmax", "emit_verilog"]

bridge_tracer()
