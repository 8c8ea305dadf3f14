"""Run all-MiniLM-L6-v2 on an English text and store q, k and v of a layer's heads as integers.

Needs what ``capture_attention.py`` needs, whose forward pass it takes::

    python scripts/capture_heads.py --out sim/exaq/data/head_sample.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np

import exaq.data
from capture_attention import MODEL, MiniLM, model_folder, read_texts
from exaq.attention import HeadScales
from exaq_cli.exit_codes import run_program
from exaq_cli.files import write_bytes

#: The layer and the text that ship, each from 0.
LAYER, TEXT = 3, 1
_TEXTS = Path(exaq.data.__file__).with_name("texts.txt")


@click.command
@click.option(
    "--out",
    required=True,
    metavar="FILE.npz",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.",
)
def command(out: Path) -> None:
    """Store operands of the heads of a layer of all-MiniLM-L6-v2 as .npz.

    All heads share the scales, so that a unit with one configuration takes them one by one.
    """
    with write_bytes(out) as file:
        model = MiniLM(model_folder())
        batch = model.tokenize([read_texts(_TEXTS)[TEXT]])
        operands = [array[:, 0] for array in model.operands(batch, LAYER)]
        scales = HeadScales.of(*operands, keys="dint4")
        integers = scales.integers(*operands)
        np.savez_compressed(
            file,
            allow_pickle=False,
            q=integers.q,
            k=integers.k.astype(np.uint8),
            v=integers.v,
            keys=np.array(scales.keys),
            logit_scale=np.float64(scales.logit_scale),
            value_scale=np.float64(scales.value),
            layer=np.array(LAYER),
            tokens=batch.tokens[0],
            model=np.array(MODEL),
        )
    click.echo(f"{out}: {' x '.join(map(str, integers.q.shape))}, {out.stat().st_size} bytes")


if __name__ == "__main__":
    run_program(command, "capture_heads", sys.argv[1:])
