"""What the records of a unit hold for: its design, whatever the release.

>>> from exaq import SoftmaxConfig
>>> from exaq_hdl.emit.compared_hash import compared_hash
>>> len(compared_hash(SoftmaxConfig()))
64
"""

from exaq import SoftmaxConfig
from exaq.release import as_compared
from exaq_hdl.emit.design_hash import design_hash
from exaq_hdl.emit.verilog import emit_verilog


def compared_hash(config: SoftmaxConfig) -> str:
    """``design_hash`` of the AXI top for an FPGA, with the version that all releases compare."""
    with as_compared():
        return design_hash(emit_verilog(config).verilog)
