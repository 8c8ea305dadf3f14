// Memories of every shape that block RAM has, each with some contents from the beginning.
module prove_memories (
  input wire clk, write_enable, read_enable, other_enable,
  input wire [13:0] write_address, read_address, other_address,
  input wire [35:0] write_data, other_data,
  output reg bit_out,
  output reg [1:0] pair_out,
  output reg [3:0] nibble_out,
  output reg [7:0] octet_out,
  output reg [17:0] half_out,
  output reg [35:0] word_out,
  output reg [15:0] first_out, second_out,
  output reg [7:0] single_out
);
  (* ram_style = "block", no_rw_check *) reg bits [0:16383];
  (* ram_style = "block", no_rw_check *) reg [1:0] pairs [0:8191];
  (* ram_style = "block", no_rw_check *) reg [3:0] nibbles [0:4095];
  (* ram_style = "block", no_rw_check *) reg [7:0] octets [0:2047];
  (* ram_style = "block", no_rw_check *) reg [17:0] halves [0:1023];
  (* ram_style = "block", no_rw_check *) reg [35:0] words [0:511];
  (* ram_style = "block", no_rw_check *) reg [15:0] doubles [0:1023];
  (* ram_style = "block" *) reg [7:0] singles [0:2047];
  integer i;

  // Few words, for the sake of the time that synthesis takes for each.
  initial
    for (i = 0; i < 64; i = i + 1) begin
      bits[i] = ^(i * 40503);
      pairs[i] = i * 40503 >> 7;
      nibbles[i] = i * 40503 >> 6;
      octets[i] = i * 40503 >> 5;
      halves[i] = i * 40503;
      words[i] = i * 40503 * 40503;
      doubles[i] = i * 40503 >> 3;
      singles[i] = i * 40503 >> 4;
    end

  always @(posedge clk) begin
    if (write_enable) begin
      bits[write_address] <= write_data[0];
      pairs[write_address[12:0]] <= write_data[1:0];
      nibbles[write_address[11:0]] <= write_data[3:0];
      octets[write_address[10:0]] <= write_data[7:0];
      halves[write_address[9:0]] <= write_data[17:0];
      words[write_address[8:0]] <= write_data;
    end
    if (read_enable) begin
      bit_out <= bits[read_address];
      pair_out <= pairs[read_address[12:0]];
      nibble_out <= nibbles[read_address[11:0]];
      octet_out <= octets[read_address[10:0]];
      half_out <= halves[read_address[9:0]];
      word_out <= words[read_address[8:0]];
    end
  end

  // Two ports that both read and write.
  always @(posedge clk)
    if (write_enable) doubles[write_address[9:0]] <= write_data[15:0];
    else first_out <= doubles[write_address[9:0]];
  always @(posedge clk)
    if (other_enable) doubles[other_address[9:0]] <= other_data[15:0];
    else second_out <= doubles[other_address[9:0]];

  // One port, which gives the new octet when it writes one.
  always @(posedge clk) begin
    if (other_enable) singles[other_address[10:0]] <= other_data[7:0];
    single_out <= other_enable ? other_data[7:0] : singles[other_address[10:0]];
  end
endmodule
