// The cells of iCE40 that a board's design names, as a virtual board needs them: pins without
// delays, and a PLL that passes its clock on, so that the pin's clock is the unit's.

module SB_IO #(parameter [5:0] PIN_TYPE = 6'b000000, parameter IO_STANDARD = "SB_LVCMOS",
               parameter [0:0] PULLUP = 0) (
  inout PACKAGE_PIN,
  input OUTPUT_ENABLE, D_OUT_0,
  output D_IN_0
);
  generate
    if (PIN_TYPE == 6'b000001) begin : in
      assign D_IN_0 = PACKAGE_PIN;
    end else if (PIN_TYPE == 6'b101001) begin : out
      // A pin that is not driven is pulled up.
      assign PACKAGE_PIN = D_OUT_0 | ~OUTPUT_ENABLE;
      assign D_IN_0 = 1'b0;
    end else begin : other
      SB_IO_of_this_PIN_TYPE_has_no_model none ();
    end
  endgenerate
endmodule

module SB_GB_IO #(parameter [5:0] PIN_TYPE = 6'b000000, parameter IO_STANDARD = "SB_LVCMOS",
                  parameter [0:0] PULLUP = 0) (
  input PACKAGE_PIN,
  output GLOBAL_BUFFER_OUTPUT
);
  assign GLOBAL_BUFFER_OUTPUT = PACKAGE_PIN;
endmodule

module SB_PLL40_PAD #(parameter FEEDBACK_PATH = "SIMPLE", parameter DIVR = 0, DIVF = 0, DIVQ = 0,
                      FILTER_RANGE = 0) (
  input PACKAGEPIN, RESETB, BYPASS,
  output PLLOUTGLOBAL, LOCK
);
  exaq_pll_model pll (.in(PACKAGEPIN), .reset(~RESETB), .out(PLLOUTGLOBAL), .lock(LOCK));
endmodule

module SB_PLL40_CORE #(parameter FEEDBACK_PATH = "SIMPLE", parameter DIVR = 0, DIVF = 0, DIVQ = 0,
                       FILTER_RANGE = 0) (
  input REFERENCECLK, RESETB, BYPASS,
  output PLLOUTGLOBAL, LOCK
);
  exaq_pll_model pll (.in(REFERENCECLK), .reset(~RESETB), .out(PLLOUTGLOBAL), .lock(LOCK));
endmodule
