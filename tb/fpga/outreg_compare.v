// Drives the design, its netlist and the netlist after folding alike and compares them.
module outreg_compare;
  parameter CYCLES = 20000;
  reg clk = 0, write_enable = 0, read_enable = 1, output_enable = 1;
  reg [7:0] write_address = 0, read_address = 255, other_address = 0;
  reg [53:0] write_data = 0;
  wire [85:0] design_out, before_out, after_out;
  integer cycle, seed, differences;

`define PORTS(OUT) (.clk(clk), .write_enable(write_enable), .write_address(write_address), \
    .write_data(write_data), .read_enable(read_enable), .output_enable(output_enable), \
    .read_address(read_address), .other_address(other_address), .wide(OUT[39:0]), \
    .narrow(OUT[53:40]), .first(OUT[69:54]), .second(OUT[85:70]))

  outreg_design reference `PORTS(design_out);
  outreg_before netlist `PORTS(before_out);
  outreg_after folded `PORTS(after_out);

  initial begin
    seed = 20241003;
    differences = 0;
    for (cycle = 0; cycle < CYCLES; cycle = cycle + 1) begin
      // The first 256 cycles fill the memories, so that nothing undefined is compared.
      write_enable = cycle < 256 || $random(seed) % 2 == 0;
      write_address = cycle < 256 ? cycle : $random(seed);
      write_data = {$random(seed), $random(seed)};
      read_enable = cycle < 300 || $random(seed) % 3 != 0;
      output_enable = cycle < 300 || $random(seed) % 3 != 0;
      read_address = $random(seed);
      if (read_address == write_address) read_address = ~write_address;
      other_address = $random(seed);
      #1 clk = 1;
      #1 clk = 0;
      if (cycle > 300 && (before_out !== design_out || after_out !== design_out)) begin
        differences = differences + 1;
        if (differences == 1)
          $display("cycle %0d: design %h netlist %h folded %h", cycle, design_out, before_out,
            after_out);
      end
    end
    $display("%0d differences in %0d cycles", differences, CYCLES);
    $finish;
  end
endmodule
