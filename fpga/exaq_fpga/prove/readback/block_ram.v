// Block RAM of ECP5 and Gowin as far as synthesis uses it: 2048 words of 9 bits, two ports on one
// clock, each 1, 2, 4, 9, 18 or 36 bits wide (4 and less: of the lower 8 bits of a word). The
// lowest address bits of a port 18 or 36 bits wide are write enables of its words.
//
// What one port reads while the other writes it is undefined in the devices. Here it comes out
// inverted, so that nothing can rely on it.

module exaq_proof_ram #(
  parameter WIDTH_A = 9, WIDTH_B = 9,
  // What a port that writes gives: 0 what it gave before, 1 the new word, 2 the old one.
  parameter WRITE_A = 0, WRITE_B = 0,
  parameter REGISTER_A = 0, REGISTER_B = 0,
  // How INIT holds the words: 0 two in 20 bits, 1 one in 9 bits, 2 one in 8 bits.
  parameter LAYOUT = 1,
  parameter [64*320-1:0] INIT = 0
) (
  input clk,
  input enable_a, write_a, step_a, enable_b, write_b, step_b,
  input [13:0] address_a, address_b,
  input [35:0] in_a, in_b,
  output [35:0] out_a, out_b
);
  reg [8:0] words [0:2047];
  reg [35:0] latch_a, latch_b, register_a, register_b;
  integer i;

  initial begin
    for (i = 0; i < 2048; i = i + 1)
      case (LAYOUT)
        0: words[i] = INIT[20 * (i / 2) + 9 * (i % 2) +: 9];
        1: words[i] = INIT[9 * i +: 9];
        default: words[i] = {1'b0, INIT[8 * i +: 8]};
      endcase
    latch_a = 0;
    latch_b = 0;
    register_a = 0;
    register_b = 0;
  end

  function [35:0] get(input [13:0] address, input integer width);
    case (width)
      36: get = {words[{address[13:5], 2'd3}], words[{address[13:5], 2'd2}],
                 words[{address[13:5], 2'd1}], words[{address[13:5], 2'd0}]};
      18: get = {18'd0, words[{address[13:4], 1'b1}], words[{address[13:4], 1'b0}]};
      9: get = {27'd0, words[address[13:3]]};
      4: get = {32'd0, words[address[13:3]][{address[2], 2'd0} +: 4]};
      2: get = {34'd0, words[address[13:3]][{address[2:1], 1'd0} +: 2]};
      default: get = {35'd0, words[address[13:3]][address[2:0]]};
    endcase
  endfunction

  task put(input [13:0] address, input integer width, input [35:0] value);
    case (width)
      36: begin
        if (address[0]) words[{address[13:5], 2'd0}] = value[8:0];
        if (address[1]) words[{address[13:5], 2'd1}] = value[17:9];
        if (address[2]) words[{address[13:5], 2'd2}] = value[26:18];
        if (address[3]) words[{address[13:5], 2'd3}] = value[35:27];
      end
      18: begin
        if (address[0]) words[{address[13:4], 1'b0}] = value[8:0];
        if (address[1]) words[{address[13:4], 1'b1}] = value[17:9];
      end
      9: words[address[13:3]] = value[8:0];
      4: words[address[13:3]][{address[2], 2'd0} +: 4] = value[3:0];
      2: words[address[13:3]][{address[2:1], 1'd0} +: 2] = value[1:0];
      default: words[address[13:3]][address[2:0]] = value[0];
    endcase
  endtask

  function integer shift(input integer width);
    shift = width == 36 ? 5 : width == 18 ? 4 : width == 9 ? 3 : width == 4 ? 2 : width - 1;
  endfunction

  function writes(input [13:0] address, input integer width);
    writes = width == 36 ? |address[3:0] : width == 18 ? |address[1:0] : 1'b1;
  endfunction

  localparam SHIFT = shift(WIDTH_A) > shift(WIDTH_B) ? shift(WIDTH_A) : shift(WIDTH_B);
  wire meet = address_a >> SHIFT == address_b >> SHIFT;
  wire stores_a = enable_a & write_a & writes(address_a, WIDTH_A);
  wire stores_b = enable_b & write_b & writes(address_b, WIDTH_B);
  reg [35:0] old_a, old_b;

  always @(posedge clk) begin
    if (step_a) register_a <= latch_a;
    if (step_b) register_b <= latch_b;
    old_a = get(address_a, WIDTH_A) ^ {36{meet & stores_b}};
    old_b = get(address_b, WIDTH_B) ^ {36{meet & stores_a}};
    if (stores_a) put(address_a, WIDTH_A, in_a);
    if (stores_b) put(address_b, WIDTH_B, in_b);
    if (enable_a)
      if (!write_a || WRITE_A == 2) latch_a <= old_a;
      else if (WRITE_A == 1) latch_a <= get(address_a, WIDTH_A);
    if (enable_b)
      if (!write_b || WRITE_B == 2) latch_b <= old_b;
      else if (WRITE_B == 1) latch_b <= get(address_b, WIDTH_B);
  end

  assign out_a = REGISTER_A ? register_a : latch_a;
  assign out_b = REGISTER_B ? register_b : latch_b;
endmodule
