"""What a unit with codes or row results must give of a row: by the slow softmax in integers."""

from oracle import code_row, softmax_row
from test_unit_softmax import Row, context_of

from exaq import SoftmaxConfig


def used_tables(config: SoftmaxConfig, row: Row) -> SoftmaxConfig:
    """A configuration without contexts that has the tables of the row's context."""
    if not config.contexts:
        return config
    context = context_of(config, row)
    held = config.context_tables[context if context < config.contexts else 0]
    return config.replace(contexts=0, tables=held)


def faulty(config: SoftmaxConfig, row: Row) -> bool:
    """Whether the row is too long, or of no context."""
    unknown = bool(config.contexts) and context_of(config, row) >= config.contexts
    return len(row) > config.max_row or unknown


def element_beats(config: SoftmaxConfig, row: Row) -> list[dict]:
    """The beats of a row's elements; absent lanes hold 0."""
    kept, used = row[: config.max_row], used_tables(config, row)
    logits, live = [x for x, _ in kept], [flag for _, flag in kept]
    codes = config.output == "codes"
    values = (code_row if codes else softmax_row)(logits, live, used)
    lanes, beats = config.lanes, []
    for k in range(0, len(kept), lanes):
        part = values[k : k + lanes]
        last = k + lanes >= len(kept)
        beat = {
            "codes" if codes else "probabilities": part + [0] * (lanes - len(part)),
            "tail": (1 << len(part)) - 1,
            "last": int(last),
        }
        if codes:
            beat["live"] = sum(flag << lane for lane, flag in enumerate(live[k : k + lanes]))
        else:
            beat["error"] = int(last and faulty(config, row))
        number = {"context": context_of(config, row)} if config.context_bits else {}
        beats.append(beat | number)
    return beats


def row_item(config: SoftmaxConfig, row: Row) -> dict:
    """The row's results."""
    kept, used = row[: config.max_row], used_tables(config, row)
    logits, live = [x for x, _ in kept], [flag for _, flag in kept]
    rom = used.tables.exp_rom
    codes = code_row(logits, live, used)
    total = sum(rom[code] for code, flag in zip(codes, live, strict=True) if flag)
    result = {
        "maximum": max((x for x, flag in kept if flag), default=config.logit_range[0]),
        "sum": total,
        "error": int(faulty(config, row)),
    }
    if config.row_results == "table":
        one = 1 << config.prob_bits
        quotients = [one - 1 if not total else (e * one + total // 2) // total for e in rom]
        result["probabilities"] = [min(quotient, one - 1) for quotient in quotients]
    return result | ({"context": context_of(config, row)} if config.context_bits else {})
