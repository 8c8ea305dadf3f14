"""``exaq stream``: an array of logits through a board, checked against the golden model."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, Task
from rich.progress import ProgressColumn as Column
from rich.text import Text

import exaq
from exaq import SoftmaxConfig
from exaq.rows import Rows
from exaq_cli.board_connection import connected, run_figures
from exaq_cli.config.board_unit import unit_option
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.errors import UserError, user_errors
from exaq_cli.files import replacing
from exaq_cli.head_stream import stream_heads
from exaq_cli.output.progress import counted
from exaq_cli.output.stream_summary import print_summary
from exaq_cli.row_input import RowInput, logits_argument, row_options, window_options
from exaq_cli.row_output import check_outputs, output_options, write_rows
from exaq_fpga import Board, StreamedRows
from exaq_fpga.link.protocol import element_octets, result_octets
from exaq_fpga.link.session import LinkStatistics
from exaq_fpga.link.transports.serial_port import BAUD

_CONSOLE = Console(stderr=True)
_FILE = click.Path(path_type=Path)


@click.command(name="stream")
@click.option(
    "--port",
    required=True,
    help="Serial port of the board, such as /dev/ttyUSB1, or the pseudo-terminal that "
    "exaq board --virtual names; udp:ADDRESS of a board that is linked by UDP.",
)
@output_options
@click.option(
    "--baud",
    type=click.IntRange(1),
    help="Baud rate that the board was built for: exaq boards lists it.  [default: "
    f"{BAUD}; none by UDP]",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Compare every bit with the golden model.",
)
@logits_argument
@row_options
@click.argument("keys_values", metavar="[K.npy V.npy]", nargs=-1, type=_FILE)
@unit_option
@window_options
@click.option(
    "--load",
    is_flag=True,
    help="Load the sets of --tables into the contexts 0, 1, ... before the first row.",
)
@click.option("--json", "report", metavar="FILE", type=_FILE, help="Write all figures as JSON.")
@config_options
def command(
    partial: PartialConfig,
    port: str,
    baud: int | None,
    logits: Path,
    keys_values: tuple[Path, ...],
    unit: str,
    out: Path,
    float_output: bool,
    results: Path | None,
    verify: bool,
    lengths: Path | None,
    mask: Path | None,
    contexts_of: Path | None,
    windows: Path | None,
    causal: bool,
    load: bool,
    report: Path | None,
) -> int:
    """Stream an array of logits, of shape (..., row), through a board; or an attention head's q, k
    and v.

    Integers are taken as they are; floats are divided by the board's logit_scale, rounded and
    saturated, to integers or to numbers of its logit format. The board tells its configuration;
    options of a configuration are only checked against that. The exit code is 1 where a bit
    differs from the golden model, 2 where nothing was streamed, 3 where the board or its link
    fails on the way and nothing was written. After Ctrl-C the board is ready for the next run.

    With --unit attention the files are q, k and v, integers of shape (..., rows, head size) and
    (..., keys, head size) as exaq.attention.attend takes them; leading axes are heads.

    \b
    exaq stream logits.npy --port /dev/ttyUSB1 -o probs.npy
    exaq stream logits.npy --port /dev/ttyUSB1 -o probs.npy --lengths lengths.npy --json run.json
    exaq stream logits.npy --port /dev/ttyUSB1 -o probs.npy --preset 2bit-x4 --no-verify
    exaq stream logits.npy --port /dev/ttyUSB1 -o codes.npy --results rows.npz --causal
    exaq stream logits.npy --port /dev/ttyUSB1 -o probs.npy --tables heads.json --load \\
        --contexts-of heads.npy
    exaq stream --unit attention q.npy k.npy v.npy --port /dev/ttyUSB1 -o o.npy
    """
    if unit == "attention":
        only_rows = {
            "--lengths": lengths,
            "--mask": mask,
            "--contexts-of": contexts_of,
            "--windows": windows,
            "--results": results,
            "--causal": causal,
            "--load": load,
            "--float-output": float_output,
            "an option of a configuration": partial.given,
        }
        wrong = [name for name, value in only_rows.items() if value]
        if wrong:
            raise UserError(f"{wrong[0]} does not go with --unit attention")
        return stream_heads((logits, *keys_values), port, baud, out, report, verify=verify)
    if keys_values:
        raise UserError(f"{keys_values[0]} is one file too many: q, k and v need --unit attention")
    if load and partial.tables is None:
        raise UserError("--load needs --tables, the file of the tables to load")
    config = partial.resolve()
    inputs = (*partial.files, logits, lengths, mask, contexts_of, windows)
    outputs = [path for path in (out, results, report) if path is not None]
    with replacing(*outputs, inputs=inputs) as temporary:
        written = dict(zip(outputs, temporary, strict=True))
        given = RowInput.load(logits, lengths, mask, contexts_of, windows, causal=causal)
        with connected(Board, port, baud, _CONSOLE) as board:
            _check_config(partial, board.config, load)
            check_outputs(board.config, results, float_output, remedy="the board was built without")
            given = given.rounded(board.config)
            with user_errors():
                rows = Rows.of(
                    given.logits,
                    board.config.format,
                    mask=given.mask,
                    lengths=given.lengths,
                    contexts=given.contexts,
                    window=given.window,
                ).streamed(board.config.format)
            loads = _load(board, config) if load else 0
            _check_contexts(board.config, contexts_of)
            link = LinkStatistics(**asdict(board.link))
            begin = time.perf_counter()
            came = _stream(board, given)
            seconds = time.perf_counter() - begin
            figures = _figures(board, rows, seconds, link) | {"loads": loads}
        if verify:
            with _CONSOLE.status("Golden model ..."):
                figures |= _mismatches(board.config, given, came)
        floats = board.config if float_output else None
        write_rows(written, out, came.elements, results, came.results, float_of=floats)
        if report is not None:
            document = figures | {"config": board.config.to_dict()}
            written[report].write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print_summary(board.config, figures, outputs)
    return 1 if figures.get("mismatches") or figures.get("result_mismatches") else 0


def _mismatches(config: SoftmaxConfig, given: RowInput, came: StreamedRows) -> dict[str, int]:
    """Elements, and rows by their results, that are not those of the golden model."""
    arguments: Any = (given.logits, config, given.mask, given.contexts)
    others: Any = {"lengths": given.lengths, "window": given.window}
    function = exaq.quantize if config.output == "codes" else exaq.softmax
    expected: NDArray[Any] = function(*arguments, **others)
    found = {"mismatches": int(np.count_nonzero(came.elements != expected))}
    if came.results is not None:
        of_rows = exaq.row_results(*arguments, **others)
        found["result_mismatches"] = came.results.differing(of_rows)
    return found


def _check_config(partial: PartialConfig, board: SoftmaxConfig, load: bool) -> None:
    if load and not board.contexts:
        raise UserError("the board has no contexts, so no tables can be loaded into it")
    found = partial.differences(board, load=load)
    if found:
        raise UserError(
            f"the board was built for another configuration: {'; '.join(found)}. Leave out the "
            "options, or build the board with them"
        )


def _check_contexts(board: SoftmaxConfig, contexts_of: Path | None) -> None:
    if board.contexts and contexts_of is None and len(set(board.context_tables)) > 1:
        raise UserError(
            f"the board's {board.contexts} contexts hold different tables: give --contexts-of, "
            "the context of each row"
        )


def _load(board: Board, config: SoftmaxConfig) -> int:
    sets = config.context_tables or (config.tables,)
    if len(sets) > board.config.contexts:
        raise UserError(
            f"{len(sets)} sets of tables do not fit the board's {board.config.contexts} contexts"
        )
    with _CONSOLE.status("Loading tables ..."):
        for context, tables in enumerate(sets):
            board.load_tables(context, tables)
    return len(sets)


class _Speed(Column):
    def render(self, task: Task) -> Text:
        speed = task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s")


def _stream(board: Board, given: RowInput) -> StreamedRows:
    columns = (MofNCompleteColumn(), _Speed())
    with counted("Streaming", *columns, console=_CONSOLE) as progress:
        return board.stream(
            given.logits,
            mask=given.mask,
            lengths=given.lengths,
            contexts=given.contexts,
            window=given.window,
            progress=progress,
        )


def _figures(board: Board, rows: Rows, seconds: float, before: LinkStatistics) -> dict[str, Any]:
    elements = int(rows.lengths.sum())
    payload = elements * element_octets(board.config)
    payload += len(rows.lengths) * result_octets(board.config)
    count = len(rows.lengths)
    figures = run_figures(board, rows=count, payload=payload, seconds=seconds, before=before)
    return figures | {"elements": elements}
