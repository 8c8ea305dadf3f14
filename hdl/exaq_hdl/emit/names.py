"""Names that a unit may have in Verilog, SystemVerilog and VHDL."""

import re

# Single underscores between letters and digits: what VHDL takes, and the double underscore is
# free to part a unit's name from what follows.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")

_SYSTEMVERILOG = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup
    coverpoint cross deassign default defparam design disable dist do edge else end endcase
    endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
    endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable
    endtask enum event eventually expect export extends extern final first_match for force
    foreach forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone
    ignore_bins illegal_bins implements implies import incdir include initial inout input inside
    instance int integer interconnect interface intersect join join_any join_none large let
    liblist library local localparam logic longint macromodule matches medium modport module nand
    negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package
    packed parameter pmos posedge primitive priority program property protected pull0 pull1
    pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence
    rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran
    rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence
    shortint shortreal showcancelled signed small soft solve specify specparam static string
    strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table tagged
    task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand
    trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var
    vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard wire with within
    wor xnor xor
"""
_VHDL = """
    abs access after alias all and architecture array assert assume assume_guarantee attribute
    begin block body buffer bus case component configuration constant context cover default
    disconnect downto else elsif end entity exit fairness file for force function generate generic
    group guarded if impure in inertial inout is label library linkage literal loop map mod nand
    new next nor not null of on open or others out package parameter port postponed procedure
    process property protected pure range record register reject release rem report restrict
    restrict_guarantee return rol ror select sequence severity shared signal sla sll sra srl
    strong subtype then to transport type unaffected units until use variable vmode vprop vunit
    wait when while with xnor xor
"""

#: Reserved words of IEEE 1800-2017, which has all of IEEE 1364's.
SYSTEMVERILOG = frozenset(_SYSTEMVERILOG.split())
#: Reserved words of IEEE 1076-2008.
VHDL = frozenset(_VHDL.split())


def check_name(name: str) -> None:
    """Refuse a name that some tool could not take for a module or an entity.

    Raises
    ------
    ValueError
        ``name`` is not made of letters, digits and single underscores between them, or is a
        keyword, in capitals or not: VHDL does not tell them apart.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "name must be letters, digits and single underscores between them, beginning with "
            f"a letter, not {name!r}"
        )
    if name.lower() in SYSTEMVERILOG | VHDL:
        raise ValueError(f"name must not be a keyword of SystemVerilog or VHDL, as {name!r} is")


def inner_name(name: str, *path: str) -> str:
    """Name of a module that belongs to the unit ``name``: no other unit has one of that name."""
    return f"{name}__{'_'.join(path)}"
