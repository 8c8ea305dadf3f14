"""Units that are made into IPs, with the files that go with them."""

import functools
from importlib import metadata

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig
from exaq_hdl import emit_verilog
from exaq_hdl.emit.attention_verilog import emit_level_sums
from exaq_hdl.emit.companions.companion import IP, Unit
from exaq_hdl.emit.companions.ip.verilog_attributes import with_attributes

#: Of an IP made of this project's version: its first two numbers.
VERSION = ".".join(metadata.version("exaq-softmax").split(".")[:2])
CONFIGS = {
    "everything": SoftmaxConfig(
        contexts=3, max_row=64, window=True, row_results="table", sink=5, mask_value="lowest"
    ),
    "codes": SoftmaxConfig(contexts=2, max_row=64, output="codes", row_results="sum"),
    **{
        name: SoftmaxConfig.preset(name, max_row=64)
        for name in ("baps-x4", "multiply-x4", "softermax-x4", "shift-x4", "lut-x4")
    },
}
HEAD = AttentionConfig(head_size=16, max_row=16, lanes=1)
UNITS = [*CONFIGS, "level sums"]


@functools.cache
def plain(name: str) -> Unit:
    """The unit as it is without --ip; the top module is unit_a."""
    if name == "level sums":
        emitted = emit_level_sums(HEAD, name="unit_a")
        return Unit(config=HEAD.softmax, emitted=emitted, stem="softmax")
    config = CONFIGS[name]
    return Unit(config=config, emitted=emit_verilog(config, name="unit_a"), stem="softmax")


@functools.cache
def marked(name: str) -> Unit:
    """The same with attributes."""
    unit = plain(name)
    return Unit(config=unit.config, emitted=with_attributes(unit.emitted), stem=unit.stem)


@functools.cache
def files(name: str) -> dict[str, str]:
    """The texts of all files, by name."""
    unit = marked(name)
    texts = {f"{unit.stem}.v": unit.emitted.verilog}
    for each in IP:
        texts |= zip(each.names(unit.stem), each.texts(unit), strict=True)
    return texts
