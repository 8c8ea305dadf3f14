"""Which responder a unit takes."""

from typing import Any

from exaq.attention import AttentionConfig
from exaq_fpga.gateware.messages.answering import Answering
from exaq_fpga.gateware.messages.head_responder import HeadResponder
from exaq_fpga.gateware.messages.responder import Responder
from exaq_fpga.link.protocol import UnitConfig, check_linked
from exaq_hdl.checks import check_config


def responder_of(config: UnitConfig, identity: bytes, unit: Any) -> Answering:
    """What answers for ``unit``, of that configuration.

    Raises
    ------
    TypeError, ValueError
        The configuration is none, or of a unit that cannot stand behind the link.
    """
    if isinstance(config, AttentionConfig):
        outputs_per_beat = len(unit.o.payload.outputs)
        return HeadResponder(config, identity, outputs_per_beat=outputs_per_beat)
    return Responder(check_linked(check_config(config)), identity)
