"""``exaq demo``: the unit on real attention logits, beside float softmax."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import exaq
from exaq import SoftmaxConfig, metrics, paper_clip, reference
from exaq.data import AttentionSample, load_attention_sample
from exaq.extras import require
from exaq_cli.errors import UserError
from exaq_cli.files import replacing
from exaq_cli.output.timeline import Phase, chart, row_phases
from exaq_cosim import Simulation, SimulationError, ToolError, compile_unit, golden, simulate

#: Presets that the demo shows.
PRESETS = ("2bit-x4", "3bit-x4")
#: Text, layer and head of the picture: the first layer's fifth head looks for the next noun.
PICTURE = {"text": 0, "layer": 0, "head": 4}


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """How near the unit's probabilities are to float64 softmax of the same logits.

    Means are over live elements (``mean_absolute_error``) or rows with one; ``kl_divergence`` is
    in nats.
    """

    mean_absolute_error: float
    kl_divergence: float
    cosine: float
    row_sum_min: float
    row_sum_max: float

    @classmethod
    def of(
        cls,
        config: SoftmaxConfig,
        exact: NDArray[np.float64],
        result: Simulation,
        live: NDArray[Any],
    ) -> Closeness:
        """Compare the result of a simulation with ``exact``, masked by ``live``."""
        given = exaq.probabilities_to_float(result.probabilities, config)
        mask = np.broadcast_to(live, given.shape)
        sums = metrics.row_sums(given, mask)[mask.any(axis=-1)]
        return cls(
            mean_absolute_error=metrics.mean_absolute_error(exact, given, mask),
            kl_divergence=metrics.kl_divergence(
                exact, given, mask, floor=0.5 / 2**config.prob_bits
            ),
            cosine=metrics.cosine(exact, given, mask),
            row_sum_min=float(sums.min()),
            row_sum_max=float(sums.max()),
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One configuration: what it is, what it gave, and how near that is to float softmax.

    ``live`` counts unmasked elements, ``mismatching_bits`` bits of probabilities that are not
    those of the golden model.
    """

    config: SoftmaxConfig
    clip: float
    verilog: Path
    result: Simulation
    live: int
    mismatching_bits: int
    closeness: Closeness
    phases: tuple[Phase, ...]

    @property
    def faulty(self) -> bool:
        """Whether a bit differs from the golden model, or a row was flagged as too long."""
        return self.mismatching_bits > 0 or bool(self.result.row_errors.any())

    def to_dict(self) -> dict[str, Any]:
        """Every figure as plain values for JSON."""
        return {
            "config": self.config.to_dict(),
            "verilog": str(self.verilog),
            **self.result.to_dict(),
            "live_elements": self.live,
            "mismatching_bits": self.mismatching_bits,
            "closeness": asdict(self.closeness),
            "phases": [asdict(phase) for phase in self.phases],
        }


@click.command(name="demo")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path("build/demo"),
    show_default=True,
    help="Folder for Verilog, its descriptions, a row's waves and the picture; made if missing.",
)
@click.option(
    "--json",
    "report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write all figures as JSON.",
)
def command(out: Path, report: Path | None) -> int:
    """Run the unit on real attention logits and compare it with float softmax.

    The logits are those of 24 heads of a language model on four English texts. For 2 and for 3
    bits the Verilog is written, compiled and fed with them; every bit is compared with the golden
    model. The exit code is 1 where one differs. The first run compiles, later ones take seconds.
    """
    require("sim", "plot")
    verilog = [out / f"exaq_softmax_{preset}.v" for preset in PRESETS]
    kinds = (".v", ".json", ".vcd")
    targets = [path.with_suffix(kind) for path in verilog for kind in kinds]
    targets.append(out / "attention.png")
    if report is not None:
        targets.append(report)
    with replacing(*targets) as temporary:
        written = dict(zip(targets, temporary, strict=True))
        sample = load_attention_sample()
        try:
            runs = _run_all(sample, verilog, written)
        except ToolError as error:
            raise UserError(str(error)) from error
        except SimulationError as error:
            click.echo(f"exaq: error: {error}", err=True)
            return 1
        _draw(written[out / "attention.png"], sample, runs)
        if report is not None:
            document = {
                "sample": _sample_figures(sample),
                "runs": [run.to_dict() for run in runs],
                "picture": str(out / "attention.png"),
            }
            written[report].write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    _print(Console(highlight=False), sample, runs, targets)
    return 1 if any(run.faulty for run in runs) else 0


def sample_clip(sample: AttentionSample, bits: int) -> float:
    """Clip of a sample by the paper's rule, in real logit units.

    The linear fit for the standard deviation of the distances, but not below the least of them.
    """
    return max(paper_clip(_sigma(sample), bits), float(_distances(sample).min()))


def _sigma(sample: AttentionSample) -> float:
    """Unbiased standard deviation of the sample's distances."""
    return float(_distances(sample).std(ddof=1))


def _distances(sample: AttentionSample) -> NDArray[np.float64]:
    """Every live logit less the maximum of its row, in real units, shape (live elements,)."""
    live = np.broadcast_to(sample.mask, sample.logits.shape)
    logits = np.where(live, sample.logits, np.iinfo(sample.logits.dtype).min).astype(np.int64)
    return (logits - logits.max(axis=-1, keepdims=True))[live] * sample.scale


def demo_config(sample: AttentionSample, preset: str, clip: float) -> SoftmaxConfig:
    """The preset with the sample's scale and ``clip``, and at full rate for its rows."""
    return SoftmaxConfig.preset(
        preset, logit_scale=sample.scale, clip=clip, full_rate_row=sample.logits.shape[-1]
    )


def _run_all(
    sample: AttentionSample, verilog: Sequence[Path], written: Mapping[Path, Path]
) -> list[Run]:
    exact = reference.softmax(sample.logits * sample.scale, sample.mask)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        return [
            _run(sample, exact, preset, path, written, progress)
            for preset, path in zip(PRESETS, verilog, strict=True)
        ]


def _run(
    sample: AttentionSample,
    exact: NDArray[np.float64],
    preset: str,
    verilog: Path,
    written: Mapping[Path, Path],
    progress: Progress,
) -> Run:
    # Only here: it takes a while, and help or a refusal need not wait for it.
    from exaq_hdl import emit_verilog

    clip = sample_clip(sample, SoftmaxConfig.preset(preset).bits)
    config = demo_config(sample, preset, clip)
    with _step(progress, f"{preset}: emitting Verilog"):
        emitted = emit_verilog(config)
        written[verilog].write_text(emitted.verilog, encoding="utf-8", newline="\n")
        manifest = json.dumps(emitted.manifest, indent=2) + "\n"
        written[verilog.with_suffix(".json")].write_text(manifest, encoding="utf-8")
    with _step(progress, f"{preset}: compiling it, the first time only"):
        compile_unit(config)
        compile_unit(config, tracing=True)
    task = progress.add_task(f"{preset}: streaming logits", total=None)
    result = simulate(
        sample.logits,
        config,
        mask=sample.mask,
        progress=lambda done, total: progress.update(task, completed=done, total=total),
    )
    with _step(progress, f"{preset}: comparing with golden model and float softmax"):
        expected = golden(sample.logits, config, mask=sample.mask)
        closeness = Closeness.of(config, exact, result, sample.mask)
    with _step(progress, f"{preset}: watching a single row"):
        waves = written[verilog.with_suffix(".vcd")]
        simulate(sample.logits[0, 0, np.argmax(sample.lengths), 0], config, waves=waves)
    return Run(
        config=config,
        clip=clip,
        verilog=verilog,
        result=result,
        live=int(np.broadcast_to(sample.mask, sample.logits.shape).sum()),
        mismatching_bits=int(np.bitwise_count(result.probabilities ^ expected).sum()),
        closeness=closeness,
        phases=row_phases(waves),
    )


@contextmanager
def _step(progress: Progress, description: str) -> Iterator[None]:
    task = progress.add_task(description, total=None)
    yield
    progress.update(task, total=1, completed=1)


def _draw(path: Path, sample: AttentionSample, runs: Sequence[Run]) -> None:
    # Only here: it takes a second.
    from exaq_cli.output.attention_maps import attention_maps

    text, layer, head = PICTURE["text"], PICTURE["layer"], PICTURE["head"]
    tokens = sample.tokens[text]
    shown = (layer, head, text, slice(len(tokens)), slice(len(tokens)))
    exact = reference.softmax(sample.logits[shown] * sample.scale)
    maps = [("Float softmax\nthe reference, 64-bit floating point", exact)]
    for run in runs:
        given = exaq.probabilities_to_float(run.result.probabilities[shown], run.config)
        error = metrics.mean_absolute_error(exact, given)
        maps.append(
            (
                f"EXAQ, {run.config.bits} bits\n"
                f"{run.config.levels} levels, from the compiled Verilog; mean error {error:.4f}",
                given,
            )
        )
    attention_maps(
        path,
        maps,
        tokens,
        title=f"Attention of {sample.model}, layer {sample.layers[layer]}, "
        f"head {sample.heads[head]}",
        subtitle="Each row is one query's softmax over the keys. The colour scale is that of the "
        "square root.",
    )


def _sample_figures(sample: AttentionSample) -> dict[str, Any]:
    return {
        "model": sample.model,
        "layers": sample.layers,
        "heads": sample.heads,
        "lengths": sample.lengths,
        "shape": sample.logits.shape,
        "scale": sample.scale,
        "sigma": _sigma(sample),
    }


def _print(
    console: Console, sample: AttentionSample, runs: Sequence[Run], targets: Sequence[Path]
) -> None:
    block = "#" if console.options.ascii_only else "\N{FULL BLOCK}"
    heads = len(sample.layers) * len(sample.heads)
    console.print(
        f"\n[bold]{sample.model}[/]: {heads} heads, {len(sample.lengths)} texts of "
        f"{', '.join(map(str, sample.lengths))} tokens padded to {sample.logits.shape[-1]}; "
        f"int8 logits in steps of {sample.scale:g} with sigma {_sigma(sample):.3f}\n"
    )
    console.print(_figures_table(runs))
    for run in runs:
        console.print(
            f"\n[bold]A row of {sample.logits.shape[-1]} logits at {run.config.bits} bits[/]: "
            f"{run.phases[-1].last + 1} cycles from first logit in to last probability out"
        )
        console.print(chart(run.phases, block))
    console.print("\nWritten:")
    for path in targets:
        console.print(f"  {path}", soft_wrap=True)
    if any(run.faulty for run in runs):
        console.print("[bold red]The unit differs from the golden model.[/]")


def _figures_table(runs: Sequence[Run]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 4, 0, 0))
    table.add_column()
    for run in runs:
        table.add_column(f"{run.config.bits} bits", header_style="bold", justify="right")

    def add(name: str, text: Callable[[Run], str], style: str | None = None) -> None:
        table.add_row(name, *(text(run) for run in runs), style=style)

    add("Verilog", lambda r: r.verilog.name)
    add("Lanes", lambda r: f"{r.config.lanes}")
    add("Longest row, elements", lambda r: f"{r.config.max_row}")
    add("Clip, from sigma", lambda r: f"{r.clip:.3f}")
    add("Latency, cycles", lambda r: f"{r.result.latency.median:g} + beats of the row")
    add("Rows", lambda r: f"{r.result.rows:,}")
    add("Elements", lambda r: f"{r.result.elements:,}")
    add("  unmasked", lambda r: f"{r.live:,}")
    add("Cycles", lambda r: f"{r.result.cycles:,}")
    add("Elements per cycle", lambda r: f"{r.result.elements_per_cycle:.3f}")
    add("Mismatching bits", _mismatching, "bold")
    add("Beside float softmax", lambda r: "")
    add("  mean absolute error", lambda r: f"{r.closeness.mean_absolute_error:.5f}")
    add("  KL divergence, nats", lambda r: f"{r.closeness.kl_divergence:.4f}")
    add("  cosine", lambda r: f"{r.closeness.cosine:.4f}")
    add("  row sums, least", lambda r: f"{r.closeness.row_sum_min:.5f}")
    add("  row sums, greatest", lambda r: f"{r.closeness.row_sum_max:.5f}")
    return table


def _mismatching(run: Run) -> str:
    colour = "red" if run.mismatching_bits else "green"
    return f"[{colour}]{run.mismatching_bits:,}[/]"
