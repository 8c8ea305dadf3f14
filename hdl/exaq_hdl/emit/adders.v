// COUNT sums (x ? a : 0) + (y ? b : 0), each modulo 2**WIDTH; the first one lowest.
// A module of its own, so that a tool can put each bit into one cell of a carry chain.
module exaq_softmax__gated_adders #(
  parameter COUNT = 1,
  parameter WIDTH = 1
) (
  input wire [COUNT*WIDTH-1:0] a,
  input wire [COUNT-1:0] x,
  input wire [COUNT*WIDTH-1:0] b,
  input wire [COUNT-1:0] y,
  output wire [COUNT*WIDTH-1:0] sums
);
  genvar k;
  generate
    for (k = 0; k < COUNT; k = k + 1) begin : adder
      assign sums[k*WIDTH +: WIDTH] =
        (a[k*WIDTH +: WIDTH] & {WIDTH{x[k]}}) + (b[k*WIDTH +: WIDTH] & {WIDTH{y[k]}});
    end
  endgenerate
endmodule

// subtract ? a - b : a + b, modulo 2**WIDTH; likewise.
module exaq_softmax__add_subtract #(
  parameter WIDTH = 1
) (
  input wire [WIDTH-1:0] a,
  input wire [WIDTH-1:0] b,
  input wire subtract,
  output wire [WIDTH-1:0] result
);
  // The place below the lowest one makes the carry that a difference needs.
  wire [WIDTH:0] wide = {a, 1'b1} + {b ^ {WIDTH{subtract}}, subtract};
  assign result = wide[WIDTH:1];
endmodule
