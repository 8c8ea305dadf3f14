// Block RAM of Gowin's devices: exaq_proof_ram, whose words hold 9 bits or, where widths are
// powers of two, 8 bits of data.

module exaq_proof_gowin_ram #(
  parameter NINE = 1,
  parameter BITS_A = 9, BITS_B = 9,
  parameter WRITE_A = 0, WRITE_B = 0,
  parameter REGISTER_A = 0, REGISTER_B = 0,
  parameter INIT = 0
) (
  input clk,
  input enable_a, write_a, step_a, enable_b, write_b, step_b,
  input [13:0] address_a, address_b,
  input [35:0] in_a, in_b,
  output [35:0] out_a, out_b
);
  function [35:0] spread(input [31:0] octets);
    spread = {1'b0, octets[31:24], 1'b0, octets[23:16], 1'b0, octets[15:8], 1'b0, octets[7:0]};
  endfunction

  function [35:0] joined(input [35:0] words);
    joined = {4'd0, words[34:27], words[25:18], words[16:9], words[7:0]};
  endfunction

  wire [35:0] words_a, words_b;
  exaq_proof_ram #(
    .WIDTH_A(BITS_A < 8 || NINE ? BITS_A : BITS_A / 8 * 9),
    .WIDTH_B(BITS_B < 8 || NINE ? BITS_B : BITS_B / 8 * 9),
    .WRITE_A(WRITE_A), .WRITE_B(WRITE_B), .REGISTER_A(REGISTER_A), .REGISTER_B(REGISTER_B),
    .LAYOUT(NINE ? 1 : 2), .INIT(INIT)
  ) ram (
    .clk(clk),
    .enable_a(enable_a), .write_a(write_a), .step_a(step_a), .address_a(address_a),
    .in_a(NINE ? in_a : spread(in_a[31:0])), .out_a(words_a),
    .enable_b(enable_b), .write_b(write_b), .step_b(step_b), .address_b(address_b),
    .in_b(NINE ? in_b : spread(in_b[31:0])), .out_b(words_b)
  );
  assign out_a = NINE ? words_a : joined(words_a);
  assign out_b = NINE ? words_b : joined(words_b);
endmodule
