// A PLL that passes its clock on and says after some cycles that it has locked.

module exaq_proof_pll (input reference, reset, output clock, lock);
  reg [6:0] cycles = 7'd0;
  assign clock = reference;
  assign lock = cycles[6];
  always @(posedge reference)
    if (reset) cycles <= 7'd0;
    else if (!lock) cycles <= cycles + 7'd1;
endmodule
