// Registers of ECP5's pins, as designs with an Ethernet link name them.

// Two samples of a pin in a cycle: Q0 is the one of the rising edge, Q1 that of the falling edge behind
// it. Both come with the next rising edge.
module IDDRX1F #(parameter GSR = "ENABLED") (
  input D, SCLK, RST, output reg Q0, Q1
);
  reg rising, falling;
  always @(posedge SCLK) begin
    rising <= D;
    Q0 <= rising;
    Q1 <= falling;
  end
  always @(negedge SCLK) falling <= D;
endmodule

module OFS1P3DX #(parameter GSR = "ENABLED") (input D, SP, SCLK, CD, output reg Q);
  always @(posedge SCLK) if (CD) Q <= 1'b0; else if (SP) Q <= D;
endmodule
