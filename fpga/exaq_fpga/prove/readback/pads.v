// Pads in place of Yosys's models, whose pins with two directions Verilator does not take. A pad
// that is not driven is low: on the line of a UART, that never passes for one at rest.

module exaq_proof_input (input B, output O);
  parameter DIR = "INPUT";
  assign O = B;
endmodule

module exaq_proof_output (output B, input I, T);
  parameter DIR = "OUTPUT";
  assign B = I & ~T;
endmodule

module TBUF (input I, OEN, output O);
  assign O = I & ~OEN;
endmodule
