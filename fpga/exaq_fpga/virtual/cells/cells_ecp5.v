// The cells of ECP5 that a board's design names, as a virtual board needs them: pins without
// delays, and a PLL that passes its clock on, so that the pin's clock is the unit's.

module IB (input I, output O);
  assign O = I;
endmodule

// A pin that is not driven is pulled up.
module OBZ (input I, T, output O);
  assign O = I | T;
endmodule

module EHXPLLL #(
  parameter PLLRST_ENA = "", INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = "",
  parameter OUTDIVIDER_MUXA = "", OUTDIVIDER_MUXB = "", OUTDIVIDER_MUXC = "", OUTDIVIDER_MUXD = "",
  parameter CLKOP_ENABLE = "", FEEDBK_PATH = "",
  parameter CLKI_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0, CLKFB_DIV = 1
) (
  input CLKI, CLKFB, RST, STDBY,
  input PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC, ENCLKOP,
  output CLKOP, LOCK
);
  exaq_pll_model pll (.in(CLKI), .reset(RST), .out(CLKOP), .lock(LOCK));
endmodule
