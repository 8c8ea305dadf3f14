// Simple dual-port RAM: address to data in 2 cycles, output register included.
// A word is never read and written in one cycle, so no bypass is needed (no_rw_check).
// An ASIC integration replaces this module by a macro with the same ports.
module exaq_softmax__ram #(
  parameter WIDTH = 1,
  parameter DEPTH = 2,
  parameter ADDRESS_WIDTH = 1
) (
  input wire clk,
  input wire write_enable,
  input wire [ADDRESS_WIDTH-1:0] write_address,
  input wire [WIDTH-1:0] write_data,
  input wire read_enable,
  input wire [ADDRESS_WIDTH-1:0] read_address,
  input wire output_enable,
  output reg [WIDTH-1:0] read_data
);
  (* no_rw_check, ram_style = "block" *) reg [WIDTH-1:0] words [0:DEPTH-1];
  reg [WIDTH-1:0] latch;
  always @(posedge clk) begin
    if (write_enable) words[write_address] <= write_data;
    if (read_enable) latch <= words[read_address];
    if (output_enable) read_data <= latch;
  end
endmodule
