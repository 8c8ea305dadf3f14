"""The unit in a SoC of LiteX: its module, a DMA that fetches rows from memory, and its C driver.

Docs: docs/litex.md. The modules here are LiteX's, so they are written in Migen.
"""

from exaq.extras import needing

with needing("exaq_litex"):
    from exaq_litex.dma_header import row_dma_header
    from exaq_litex.row_dma import RowDMA
    from exaq_litex.softmax_module import ExaqSoftmax

__all__ = ["ExaqSoftmax", "RowDMA", "row_dma_header"]
