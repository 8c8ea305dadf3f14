// The cells of Gowin's devices that a board's design names, as a virtual board needs them: pins
// without delays, and a PLL that passes its clock on, so that the pin's clock is the unit's.

module IBUF (input I, output O);
  assign O = I;
endmodule

// A pin that is not driven is pulled up.
module TBUF (input I, OEN, output O);
  assign O = I | OEN;
endmodule

module rPLL #(
  parameter FCLKIN = "", DEVICE = "", CLKFB_SEL = "",
  parameter CLKOUT_BYPASS = "", CLKOUTP_BYPASS = "", CLKOUTD_BYPASS = "",
  parameter CLKOUTD_SRC = "", CLKOUTD3_SRC = "",
  parameter DYN_IDIV_SEL = "", DYN_FBDIV_SEL = "", DYN_ODIV_SEL = "", DYN_DA_EN = "",
  parameter DUTYDA_SEL = "", PSDA_SEL = "",
  parameter IDIV_SEL = 0, FBDIV_SEL = 0, ODIV_SEL = 8, DYN_SDIV_SEL = 2
) (
  input CLKIN, CLKFB, RESET, RESET_P,
  input [5:0] FBDSEL, IDSEL, ODSEL,
  input [3:0] DUTYDA, PSDA, FDLY,
  output CLKOUT, LOCK
);
  exaq_pll_model pll (.in(CLKIN), .reset(RESET | RESET_P), .out(CLKOUT), .lock(LOCK));
endmodule
