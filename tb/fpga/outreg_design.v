// Memories as the unit has them: latch, then output register, each with its own enable.
module outreg_design (
  input wire clk,
  input wire write_enable,
  input wire [7:0] write_address,
  input wire [53:0] write_data,
  input wire read_enable,
  input wire output_enable,
  input wire [7:0] read_address,
  input wire [7:0] other_address,
  output reg [39:0] wide,
  output reg [13:0] narrow,
  output reg [15:0] first,
  output reg [15:0] second
);
  (* ram_style = "block", no_rw_check *) reg [39:0] wide_words [0:255];
  (* ram_style = "block", no_rw_check *) reg [13:0] narrow_words [0:255];
  (* rom_style = "block" *) reg [15:0] table_words [0:255];
  reg [39:0] wide_latch;
  reg [13:0] narrow_latch;
  reg [15:0] first_latch, second_latch;
  integer i;

  initial for (i = 0; i < 256; i = i + 1) table_words[i] = i * 40503 + (i << 7);

  always @(posedge clk) begin
    if (write_enable) begin
      wide_words[write_address] <= write_data[39:0];
      narrow_words[write_address] <= write_data[53:40];
    end
    if (read_enable) begin
      wide_latch <= wide_words[read_address];
      first_latch <= table_words[read_address];
      second_latch <= table_words[other_address];
    end
    narrow_latch <= narrow_words[read_address];
    if (output_enable) begin
      wide <= wide_latch;
      first <= first_latch;
    end
    narrow <= narrow_latch;
    second <= second_latch;
  end
endmodule
