"""``exaq program``: a bitstream into its board."""

from __future__ import annotations

from pathlib import Path

import click

from exaq_cli.errors import UserError
from exaq_fpga.boards import BOARDS


@click.command(name="program")
@click.argument("board", type=click.Choice(list(BOARDS)), metavar="BOARD")
@click.option(
    "-o",
    "--out",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the build.  [default: build/BOARD]",
)
def command(board: str, folder: Path | None) -> None:
    """Write the bitstream that exaq build made into BOARD, by the board's own programmer.

    \b
    exaq program icebreaker
    """
    from exaq_cosim import ToolError
    from exaq_fpga.flow.bitstreams.program import NoBuildError, program

    spec = BOARDS[board]
    try:
        link = program(spec, Path("build") / board if folder is None else folder)
    except (NoBuildError, ToolError) as error:
        raise UserError(str(error)) from error
    click.echo(f"Programmed     {spec.title}")
    click.echo(f"{link.kind:15}{link.where}")
    click.echo(f"Next           exaq stream LOGITS.npy --port {link.port} -o PROBS.npy")
