"""``exaq stream --unit attention``: q, k and v of heads through a board, checked bit by bit."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn

from exaq.attention import attend
from exaq.attention.head_operands import HeadOperands
from exaq_cli.board_connection import connected, run_figures
from exaq_cli.errors import UserError, user_errors
from exaq_cli.files import load_array, put_array, replacing
from exaq_cli.output.progress import counted
from exaq_cli.output.stream_summary import print_head_summary
from exaq_fpga import HeadBoard
from exaq_fpga.link.session import LinkStatistics

_CONSOLE = Console(stderr=True)
_OPERANDS = ("q", "k", "v")


def stream_heads(
    files: tuple[Path, ...],
    port: str,
    baud: int | None,
    out: Path,
    report: Path | None,
    *,
    verify: bool,
) -> int:
    """Stream the arrays in ``files``; the exit code. Parameters are those of the command.

    Raises
    ------
    UserError
        A file is missing, or holds what the board's head does not take.
    BreakdownError
        The board or its link failed.
    """
    if len(files) != len(_OPERANDS):
        raise UserError(f"--unit attention takes three files, of q, k and v, not {len(files)}")
    outputs = [out] if report is None else [out, report]
    with replacing(*outputs, inputs=files) as temporary:
        q, k, v = (load_array(path, "integer") for path in files)
        with connected(HeadBoard, port, baud, _CONSOLE) as board:
            config = board.config
            with user_errors():
                heads = HeadOperands.of(q, k, v, config)
            before = LinkStatistics(**asdict(board.link))
            begin = time.perf_counter()
            columns = (MofNCompleteColumn(),)
            with counted("Streaming", *columns, console=_CONSOLE) as progress:
                found = board.attend(q, k, v, progress=progress)
            seconds = time.perf_counter() - begin
            count = len(heads.q)
            rows = count * heads.rows
            figures = run_figures(
                board, rows=rows, payload=found.nbytes, seconds=seconds, before=before
            )
        figures |= {"heads": count, "keys": k.shape[-2]}
        if verify:
            with _CONSOLE.status("Golden model ..."):
                expected = attend(q, k, v, config)
            figures["mismatches"] = int(np.count_nonzero(found != expected))
        put_array(temporary[0], found)
        if report is not None:
            document = figures | {"config": config.to_dict()}
            temporary[1].write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print_head_summary(config, figures, outputs)
    return 1 if figures.get("mismatches") else 0
