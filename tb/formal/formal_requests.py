"""What the boards' responder keeps to, for any requests and any stalls.

``answer_rules``: each request is answered once, in order, with its tag, and by an ERROR exactly
where it is to be refused; what the line lost is reported once; rows are in the unit only while ROWS
is answered; counters are told of each event. Of a unit with contexts: it is given the words of a
load of the right length, all of them, and nothing of another one, and what it says of them is the
answer. ``row_rules``: of a row that is refused the unit gets nothing. ``progress_rules``: no
request stands still. The unit gives a row only when it has one, and judges a load that is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_gateware import text_of
from formal_text import Dut, Opened, opened

from exaq import SoftmaxConfig
from exaq_fpga.gateware.messages.responder import Responder
from exaq_fpga.gateware.messages.row_writer import unit_streams
from exaq_fpga.link.protocol import (
    ANSWER,
    COUNTERS,
    ERROR,
    HEADER,
    LOAD_WORD,
    MASKED,
    ROW_HEADER,
    WINDOWED,
    Fault,
    Type,
)
from exaq_hdl.shell.loads import LOAD_WORD as LOAD_LAYOUT
from exaq_hdl.shell.loads import REFUSAL
from exaq_hdl.shell.streams import logit_beat

MODULE = "responder"
#: Cycles that a request stands still at most: those that fill a row's last beat, and one more.
PATIENCE = 4
# Types whose body is empty.
_EMPTY = (Type.IDENTIFY, Type.STATUS)
#: Body of the answer to IDENTIFY; a board's is longer.
IDENTITY = b"EXAQ identity"


def responder_text(config: SoftmaxConfig) -> str:
    """The responder of a unit of ``config``."""
    return text_of(Responder(config, IDENTITY), MODULE)


def open_responder(text: str, folder: Path) -> Opened:
    """The responder as a whole, with what its counters count."""
    return opened(text, MODULE, folder, show=["events", "_reported"])


def open_without_counters(text: str, folder: Path) -> Opened:
    """The responder with what gives its counters cut out."""
    return opened(text, MODULE, folder, cut=["counters"])


def open_reader(text: str, folder: Path) -> Opened:
    """What reads its rows, alone."""
    return opened(text, f"{MODULE}__reader", folder, show=["state_state"])


@dataclass
class Around:
    """A responder with what stands round it, and what an onlooker knows of it.

    Members
    -------
    taken, given : an octet of a request is taken; of an answer or report
    type, tag, empty : of the newest request; whether its body is empty
    wanted : that request has no answer yet
    in_place, place : of the octet that comes, and of the one that is offered: 0 a type's, 1 a
        tag's, 2 of the body; the latter is counted on
    answers : the message that is offered is an answer, not a report
    open : the newest request has no answer whose last octet is offered
    inside : rows that the unit has; ``row_out``: one leaves
    judging : with contexts: the unit has a whole load, of which it has said nothing
    """

    claim: Claim
    dut: Dut
    taken: Any
    given: Any
    type: Signal
    tag: Signal
    empty: Signal
    wanted: Signal
    in_place: Signal
    place: Signal
    answers: Any
    open: Any
    inside: Signal
    row_out: Any
    judging: Any


def _around(config: SoftmaxConfig, design: Opened) -> Around:
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    octet, ends = dut["i__payload"][:8], dut["i__payload"][8]
    claim.given(claim.held(dut["i__valid"], dut["i__ready"], dut["i__payload"], "request"))
    taken = Signal()
    m.d.comb += taken.eq(dut["i__valid"] & dut["i__ready"])

    # What comes: a request's first octets.
    in_place = Signal(2)
    type_, tag, empty, wanted = Signal(8), Signal(8), Signal(), Signal()
    open_ = Signal()
    with m.If(taken):
        m.d.sync += in_place.eq(Mux(ends, 0, in_place + (in_place < 2)))
        with m.If(in_place == 0):
            m.d.sync += type_.eq(octet)
        with m.If(in_place == 1):
            m.d.sync += [tag.eq(octet), empty.eq(ends), wanted.eq(1), open_.eq(1)]

    # What is answered.
    offered, ready = dut["o__valid"], dut["o__ready"]
    given, last = Signal(), dut["o__payload"][8]
    m.d.comb += given.eq(offered & ready)
    place = Signal(6)
    answers_on = Signal()
    answers = Mux(place == 0, wanted, answers_on)
    with m.If(given):
        m.d.sync += place.eq(Mux(last, 0, place + (place != 63)))
        with m.If(place == 0):
            m.d.sync += [answers_on.eq(wanted), wanted.eq(0)]
    # The next request may be taken while the last octet still waits.
    waited = Signal()
    m.d.sync += waited.eq(offered & ~ready)
    ended = offered & ~waited & last & answers & (place != 0)
    with m.If(ended):
        m.d.sync += open_.eq(0)
    claim.always(claim.held(offered, ready, dut["o__payload"], "answer"))

    # The unit behind it.
    beat = data.View(logit_beat(config.format), dut["logits__payload"])
    out = data.View(unit_streams(config)["o"].members["payload"].shape, dut["elements__payload"])
    claim.always(claim.held(dut["logits__valid"], dut["logits__ready"], beat.last, "logits"))
    claim.given(
        claim.held(dut["elements__valid"], dut["elements__ready"], out.as_value(), "elements")
    )
    inside = Signal(range(Responder.rows + 2))
    row_in = dut["logits__valid"] & dut["logits__ready"] & beat.last
    row_out = dut["elements__valid"] & dut["elements__ready"] & out.last
    m.d.sync += inside.eq(inside + row_in - row_out)
    claim.given(~dut["elements__valid"] | (inside != 0))
    claim.always(inside <= Responder.rows)
    judging: Any = Const(0)
    if config.contexts:
        judging = _loads(config, claim, dut, taken, in_place, type_, open_)
    return Around(
        claim,
        dut,
        taken,
        given,
        type_,
        tag,
        empty,
        wanted,
        in_place,
        place,
        answers,
        open_ & ~ended,
        inside,
        row_out,
        judging,
    )


def _loads(
    config: SoftmaxConfig,
    claim: Claim,
    dut: Dut,
    taken: Any,
    in_place: Any,
    type_: Any,
    open_: Any,
) -> Signal:
    """What the unit is given of loads: their words. The message's length comes beside it."""
    m = claim.module
    octet, ends = dut["i__payload"][:8], dut["i__payload"][8]
    body = LOAD_WORD * config.load_length
    # The message is as long as is said of it, up to where that matters.
    number, length_was = Signal(range(HEADER + body + 1)), Signal.like(dut["length"])
    m.d.sync += length_was.eq(dut["length"])
    claim.given((in_place == 0) | (dut["length"] == length_was))
    with m.If(taken):
        m.d.sync += number.eq(Mux(ends, 0, number + (number != HEADER + body)))
    legal = dut["length"] == HEADER + body
    claim.given(~taken | ~legal | (ends == (number == HEADER + body - 1)))
    # Words as they come, and as they are given.
    word, whole, words = Signal(8 * LOAD_WORD), Signal(), Signal(range(config.load_length + 1))
    valid, ready = dut["load__valid"], dut["load__ready"]
    given = data.View(LOAD_LAYOUT, dut["load__payload"])
    loading = Signal()
    takes = taken & loading & (in_place == 2)
    with m.If(taken & (in_place == 1)):
        m.d.sync += [loading.eq((type_ == Type.LOAD_TABLES) & legal), words.eq(0)]
    with m.If(takes):
        m.d.sync += word.eq(Cat(word, octet)[8:])
        place = number - HEADER
        m.d.sync += whole.eq(place[:2].all())
    with m.If(valid & ready):
        m.d.sync += [whole.eq(0), words.eq(words + 1)]
    claim.always(valid == whole)
    claim.always(~valid | (loading & open_ & (given.as_value()[1:] == word)))
    claim.always(~valid | (given.first == (words == 0)))
    claim.always(words <= config.load_length)
    judging = Signal()
    with m.If(valid & ready & (words == config.load_length - 1)):
        m.d.sync += judging.eq(1)
    with m.Elif(dut["loaded"] | dut["refused"].any()):
        m.d.sync += judging.eq(0)
    claim.given(judging | ~(dut["loaded"] | dut["refused"].any()))
    return judging


def answer_rules(
    config: SoftmaxConfig, design: Opened, *, wrong_tag: bool = False, wrong_load: bool = False
) -> Claim:
    """The claim of answers and reports.

    With another tag of reports it is not true, nor where a load of the right length gets another
    answer than what the unit said.
    """
    it = _around(config, design)
    claim, dut, m = it.claim, it.dut, it.claim.module
    ends = dut["i__payload"][8]
    answer, last = dut["o__payload"][:8], dut["o__payload"][8]
    offered, place = dut["o__valid"], it.place

    # A request's tag is taken only when the one before it has its answer.
    claim.always(~(it.taken & (it.in_place == 1)) | ~it.wanted)
    unknown, malformed = _refusals(config, it.type, it.empty)
    refused = unknown | malformed
    first = Mux(refused, ERROR, it.type | ANSWER)
    tag = Mux(it.answers, it.tag, 1 if wrong_tag else 0)

    def offers(at: Any, condition: Any) -> None:
        claim.always(~(offered & at) | condition)

    offers(place == 0, answer == Mux(it.wanted, first, ERROR))
    offers(place == 1, answer == tag)
    offers(place < HEADER, ~last)

    # Bodies whose octets are known. The next request may come with the last octet.
    type_, fault = Signal(8, name="answered_type"), Signal(8)
    with m.If(it.given & (place == 0)):
        m.d.sync += type_.eq(Mux(refused, ERROR, it.type))
        m.d.sync += fault.eq(Mux(unknown, int(Fault.UNKNOWN), int(Fault.MALFORMED)))
    body = it.answers & (place >= HEADER) & offered
    with m.If(body & (type_ == ERROR)):
        claim.always((place == HEADER) & (answer == fault) & last)
    with m.If(body & (type_ == Type.IDENTIFY)):
        claim.always(last == (place == HEADER + len(IDENTITY) - 1))
        claim.always(answer == Array([0] * HEADER + [*IDENTITY])[place])

    if config.contexts:
        legal, answers_legal, said = Signal(), Signal(), Signal(len(dut["refused"]))
        with m.If(it.taken & (it.in_place == 1)):
            m.d.sync += legal.eq(dut["length"] == HEADER + LOAD_WORD * config.load_length)
        with m.If(it.given & (place == 0)):
            m.d.sync += answers_legal.eq(legal)
        with m.If(it.judging):
            m.d.sync += said.eq(dut["refused"])
        result = Mux(answers_legal, said ^ wrong_load, 1 << REFUSAL["length"].offset)
        if wrong_load:
            # Nothing else comes, so that a prover finds the end of one.
            streams = Cat(dut[name] for name in ("i__valid", "load__ready", "o__ready"))
            claim.given(streams.all() & (dut["i__payload"][:8] == Type.LOAD_TABLES))
        with m.If(body & (type_ == Type.LOAD_TABLES)):
            claim.always((place == HEADER) & last & ~it.judging & (answer == result))

    # What the line lost since the last report, and nothing else, is in a report.
    lost, found, told = Signal(3), Signal(3), Signal(3)
    now = Cat(dut[name] for name in ("damaged", "overflow", "line_error"))
    m.d.sync += lost.eq(Mux(dut["_reported"], 0, lost) | now)
    with m.If(dut["_reported"]):
        m.d.sync += found.eq(lost)
    with m.If(it.given & (place == 0)):
        m.d.sync += told.eq(found)
    report = ~it.answers & offered & (place >= HEADER)
    claim.always(~report | (last & (answer == told) & (told != 0)))

    # Rows are in the unit only while their request is answered; nothing of one that is refused.
    at_work = dut["logits__valid"] | (it.inside != 0)
    claim.always(~at_work | (it.open & (it.type == Type.ROWS)))
    claim.always(~(it.taken & (it.in_place == 0)) | ~(it.open | at_work))

    # What is counted.
    rejected = it.taken & (it.in_place == 1) & Cat(_refusals(config, it.type, ends)).any()
    beat = dut["elements__valid"] & dut["elements__ready"]
    events = {
        "messages": dut["taken"],
        "damaged": dut["damaged"],
        "overflows": dut["overflow"],
        "line_errors": dut["line_error"],
        "rejected": rejected,
        "rows": it.row_out,
        "beats": beat,
        "stalled": dut["elements__valid"] & ~dut["elements__ready"],
        "loads": dut["loaded"] if config.contexts else Const(0),
    }
    claim.always(dut["events"] == Cat(events[name] for name in COUNTERS))
    claim.free += dut.free
    return claim


def progress_rules(config: SoftmaxConfig, design: Opened, *, patience: int = PATIENCE) -> Claim:
    """No request stands still for more than ``patience`` cycles while it is the responder's turn.

    It is another's turn while an answer's octet or a beat waits to be taken, while the responder
    is ready for an octet that does not come, while the unit has a row of which it gives nothing,
    and while a counter is looked for, which takes as many cycles as there are, and a few more.
    """
    it = _around(config, design)
    claim, dut, m = it.claim, it.dut, it.claim.module

    def stream(name: str) -> tuple[Any, Any]:
        return dut[f"{name}__valid"], dut[f"{name}__ready"]

    out, logits, elements, came = (stream(name) for name in ("o", "logits", "elements", "i"))
    streams = [out, logits, elements, came]
    turns = [valid & ~ready for valid, ready in (out, logits)]
    turns += [came[1] & ~came[0], (it.inside != 0) & ~elements[0]]
    turns.append(dut["counters.o__ready"] & ~dut["counters.o__valid"])
    if config.contexts:
        streams.append(stream("load"))
        turns += [it.judging, dut["load__valid"] & ~dut["load__ready"]]
    moves = Cat(valid & ready for valid, ready in streams).any()
    waits = Signal(range(patience + 2))
    m.d.sync += waits.eq(Mux(moves | Cat(turns).any(), 0, waits + (waits <= patience)))
    claim.always(waits <= patience)
    claim.free += dut.free
    return claim


def row_rules(config: SoftmaxConfig, design: Opened, *, most: int = 0) -> Claim:
    """A beat stays until it is taken; of a row that is refused by its header there is none, nor of
    what follows in its message, which is said to be malformed.

    With another longest row, ``most``, it is not true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    taken = dut["i__valid"] & dut["i__ready"]
    octet, ends = dut["i__payload"][:8], dut["i__payload"][8]
    claim.always(claim.held(dut["o__valid"], dut["o__ready"], dut["o__payload"], "beat"))

    # A row's header, whose octets are those of the state that the text numbers 0.
    place, header = Signal(2), Signal(8 * ROW_HEADER)
    at = taken & (dut["state_state"] == 0)
    whole = Cat(header, octet)[8:]
    length, word = whole[:16], whole[16:]
    context = word & (WINDOWED - 1)
    wrong = (length >= (most or config.max_row)) | (context >= max(config.contexts, 1))
    for flag, there in ((MASKED, config.masking), (WINDOWED, config.window)):
        if not there:
            wrong = wrong | word[flag.bit_length() - 1]
    refused = Signal()
    with m.If(at):
        m.d.sync += [header.eq(whole), place.eq(Mux(ends, 0, place + 1))]
        with m.If((place == ROW_HEADER - 1) & wrong):
            m.d.sync += refused.eq(1)
    with m.If(dut["ended"]):
        m.d.sync += refused.eq(0)
    claim.always(~refused | ~dut["o__valid"])
    claim.always(~(refused & dut["ended"]) | dut["malformed"])
    claim.free += dut.free
    return claim


def _refusals(config: SoftmaxConfig, type_: Any, empty: Any) -> tuple[Any, Any]:
    """Whether a request is refused: there is no such type, or its body is not empty."""
    known = [*_EMPTY, Type.ROWS] + [Type.LOAD_TABLES] * bool(config.contexts)
    unknown = ~Cat(type_ == int(each) for each in known).any()
    return unknown, Cat(type_ == int(each) for each in _EMPTY).any() & ~empty
