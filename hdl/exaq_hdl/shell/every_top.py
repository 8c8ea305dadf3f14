"""Every top, registered: a top makes itself known where its module is imported."""

from exaq_hdl.shell.axi import AxiSoftmax
from exaq_hdl.shell.core import FlatSoftmax
from exaq_hdl.shell.tops import TOPS

__all__ = ["TOPS", "AxiSoftmax", "FlatSoftmax"]
