// Drives the memories and their netlist alike and compares them in every cycle.
module prove_compare;
  parameter FILLED = 64 + 16384, CYCLES = FILLED + 10000;
  reg clk = 0, write_enable = 0, read_enable = 1, other_enable = 0;
  reg [13:0] write_address = 1, read_address = 5000, other_address = 9000;
  reg [63:0] write_data = 0, other_data = 0;
  wire [108:0] design_out, netlist_out;
  integer cycle, seed, differences, place;

`define PORTS(OUT) (.clk(clk), .write_enable(write_enable), .read_enable(read_enable), \
    .other_enable(other_enable), .write_address(write_address), .read_address(read_address), \
    .other_address(other_address), .write_data(write_data[35:0]), .other_data(other_data[35:0]), \
    .bit_out(OUT[0]), .pair_out(OUT[2:1]), .nibble_out(OUT[6:3]), .octet_out(OUT[14:7]), \
    .half_out(OUT[32:15]), .word_out(OUT[68:33]), .first_out(OUT[84:69]), \
    .second_out(OUT[100:85]), .single_out(OUT[108:101]))

  prove_memories reference `PORTS(design_out);
  prove_netlist netlist `PORTS(netlist_out);

  initial begin
    seed = 20;
    differences = 0;
    for (cycle = 0; cycle < CYCLES; cycle = cycle + 1) begin
      if (cycle < 64) begin
        // What was there from the beginning is read.
        write_enable = 0;
        read_enable = 1;
        other_enable = 0;
        write_address = cycle;
        read_address = cycle;
        other_address = cycle;
      end else if (cycle < FILLED) begin
        // Every word is written. Nobody reads one in the cycle in which another writes it.
        write_enable = 1;
        read_enable = 0;
        other_enable = 1;
        write_address = cycle - 64;
        other_address = ~write_address;
      end else begin
        // Ports differ in a bit that is an address of all memories.
        place = $random(seed);
        write_address = {$random(seed), place[8:0]};
        read_address = {$random(seed), place[8:0] ^ 9'd1 << cycle % 9};
        other_address = {$random(seed), place[8:0] ^ 9'd1 << (cycle + 1) % 9};
        write_enable = $random(seed) % 2 == 0;
        read_enable = $random(seed) % 3 != 0;
        other_enable = $random(seed) % 2 == 0;
      end
      write_data = {$random(seed), $random(seed)};
      other_data = {$random(seed), $random(seed)};
      #1 clk = 1;
      #1 clk = 0;
      if (netlist_out !== design_out) begin
        differences = differences + 1;
        if (differences == 1)
          $display("cycle %0d: design %h netlist %h", cycle, design_out, netlist_out);
      end
    end
    $display("%0d differences in %0d cycles", differences, CYCLES);
    $finish;
  end
endmodule
