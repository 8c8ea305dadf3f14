"""Training through the softmax of few bits: its attention implementation, and tables that learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from exaq.config import SoftmaxConfig
from exaq.kernels import Exaq
from exaq.scalars import choice
from exaq.table_file import TableFile
from exaq.torch.layers import (
    TRAINING_IMPLEMENTATION,
    attached,
    attention,
    check_fit,
    warn_if_partial,
)
from exaq.torch.learned_tables import WINDOW, LearnedTables
from exaq.torch.modules import attention_layers, head_count, outermost_models
from exaq.torch.tensor_softmax import check_integers

#: Whose tables ``learn_tables`` makes: each set of the file, each layer, or each head.
PARTS = ("set", "layer", "head")


def train_attention(*arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """``exaq.torch.attention`` with ``gradient="ste"``: what "exaq-train" stands for."""
    return attention(*arguments, **options, gradient="ste")


def learn_tables(
    model: nn.Module,
    tables: TableFile | SoftmaxConfig,
    *,
    per: str = "set",
    window: float = WINDOW,
    **changes: Any,
) -> LearnedTables:
    """Let the attention layers of ``model`` use tables that learn, beginning with ``tables``.

    Sets the model's implementation to "exaq-train". The parameters are those of the result, not of
    the model: an optimizer takes ``learned.parameters()``, and the model's own besides or not.

    >>> import exaq, exaq.torch, torch
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2))
    >>> learned = exaq.torch.learn_tables(model, exaq.SoftmaxConfig(clip=-4.0), per="head")
    >>> optimizer = torch.optim.Adam(learned.parameters(), lr=0.02)
    >>> tokens = torch.arange(9)[None]
    >>> model(tokens, labels=tokens).loss.backward()
    >>> optimizer.step()
    >>> exaq.torch.set_tables(model, learned.tables())

    Parameters
    ----------
    model
        A model of Transformers, or a module with such inside; changed in place.
    tables
        Of the kernel EXAQ and integer logits: a file, each layer and head going by the set that
        ``TableFile.of`` chooses; or a configuration, whose ``tables`` all go by.
    per
        What gets parameters of its own: each "set" of ``tables``, each "layer", or each "head".
        A layer that the file has no set for gets none, and is refused when it runs.
    window
        Half-width of the window around a threshold, in real logit units: the elements in it say
        where it should move. Wider ones are surer, and blur more.
    changes
        Further fields of ``SoftmaxConfig``, such as ``prob_bits=12``.

    Raises
    ------
    TypeError, ValueError
        ``tables`` are none or do not fit the model, as for ``set_tables``, or ``per`` or
        ``window`` is not as above; or heads are to be told apart that a layer does not count. The
        model is unchanged then.
    """
    choice("per", per, PARTS)
    models, layers = outermost_models(model), attention_layers(model)
    counts = [head_count(layer) for layer in layers]
    file, changes = _file(tables, changes)
    check_fit(file, counts)
    if per != "set":
        file = _divided(file, counts, by_head=per == "head")
    learned = LearnedTables(file, window, **changes)
    served = {entry.layer for entry in file.sets}
    for number, count in enumerate(counts):
        if served & {number, None}:
            learned.unit(number, count or 1)
    for each in models:
        each.set_attn_implementation(TRAINING_IMPLEMENTATION)
    for number, layer in enumerate(layers):
        attached(layer).set(learned, number, {})
    warn_if_partial(model)
    return learned


def _file(
    tables: TableFile | SoftmaxConfig, changes: dict[str, Any]
) -> tuple[TableFile, dict[str, Any]]:
    """``tables`` as a file, and the fields that are to change."""
    if isinstance(tables, TableFile):
        return tables, changes
    if not isinstance(tables, SoftmaxConfig):
        raise TypeError(f"tables must be a SoftmaxConfig or a TableFile, not {tables!r}")
    config = check_integers(tables.replace(**changes))
    if not isinstance(config.kernel, Exaq):
        raise ValueError(
            f"only tables of the kernel exaq learn, not those of the kernel {config.kernel.name}"
        )
    return TableFile.of_config(config), {
        "prob_bits": config.prob_bits,
        "mask_value": config.mask_value,
    }


def _divided(file: TableFile, counts: list[int | None], *, by_head: bool) -> TableFile:
    """The file with a set for each layer, or for each head, that it has tables for."""
    served = {entry.layer for entry in file.sets}
    sets = []
    for layer, count in enumerate(counts):
        if not served & {layer, None}:
            continue
        if not by_head:
            sets.append(replace(file.of(layer), name=f"layer{layer}", layer=layer))
            continue
        if count is None:
            raise ValueError(
                f"tables for each head need to know how many there are, "
                f"which layer {layer} does not say"
            )
        sets += [
            replace(file.of(layer, head), name=f"layer{layer}.head{head}", layer=layer, head=head)
            for head in range(count)
        ]
    return replace(file, sets=tuple(sets))


AttentionInterface.register(TRAINING_IMPLEMENTATION, train_attention)
AttentionMaskInterface.register(TRAINING_IMPLEMENTATION, eager_mask)
