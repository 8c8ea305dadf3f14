"""The unit with one Verilog port for each field of its streams."""

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.flat_unit import FlatUnit
from exaq_hdl.shell.row_shell import Softmax, unit_ports
from exaq_hdl.shell.tops import top


@top("core")
class FlatSoftmax(FlatUnit):
    """Core top: ``Softmax`` with a port for each field; lane 0 lowest, no padding.

    Latency and throughput are the unit's. Clock ``clk``, reset ``rst``, active high.

    Members
    -------
    i_FIELD, i_valid, i_ready : the stream ``i`` of ``Softmax``, in
    o_FIELD, o_valid, o_ready : the stream ``o``, out
    ... : likewise the other ports of ``Softmax``
    """

    def __init__(
        self,
        config: SoftmaxConfig,
        *,
        memories: Memories = SIMULATED,
        async_reset: bool = False,
    ):
        self.config = check_config(config)
        self.softmax = Softmax(config, memories=memories)
        super().__init__(self.softmax, unit_ports(config), async_reset=async_reset)
