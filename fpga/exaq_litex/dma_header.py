"""The C driver of a RowDMA, on the access functions that LiteX generates.

    (folder / "row_dma.h").write_text(row_dma_header("row_dma"))

Each function is for the one module of that name.
"""

import re
from importlib import resources

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def row_dma_header(name: str) -> str:
    """C99 that appends rows to the queue of a RowDMA and waits for them.

    Parameters
    ----------
    name
        The module's in the SoC; every name in the header begins with it, as those of csr.h do.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"name must be a C identifier, not {name!r}")
    text = resources.files("exaq_litex").joinpath("row_dma.h").read_text(encoding="utf-8")
    return text.replace("ROW_DMA", name.upper()).replace("row_dma", name)
