// Bench of NAME: sends rows with stalls on both sides and compares every beat that comes out with
// the golden model. Made by exaq-softmax VERSION; Verilog-2001.
//
// Prints PASSED and the number of rows, or FAILED, the row and beat, what was expected and what was
// found; then it calls $stop, which a simulator in a batch turns into an exit code other than 0
// (Icarus: vvp -N).

module BENCH;
  localparam ROWS = /* ROWS */;
  // Cycles without a beat on either side that no working unit needs, and those in which nothing
  // may come behind the last row.
  localparam LIMIT = /* LIMIT */;
  localparam QUIET = 64;

  reg aclk = 0, aresetn = 0;
  always #5 aclk = ~aclk;

  // Phases without stalls, with some of one side, and of both.
  reg [31:0] lfsr = 1;
  reg [31:0] cycle = 0;
  wire source_stalls = cycle[5] & lfsr[0];
  wire sink_stalls = cycle[6] & lfsr[7];
  always @(posedge aclk) begin
    cycle <= cycle + 1;
    lfsr <= {lfsr[30:0], lfsr[31] ^ lfsr[21] ^ lfsr[1] ^ lfsr[0]};
  end

  /* STREAMS */

  NAME unit (
    .aclk(aclk), .aresetn(aresetn), /* PORTS */
  );

  reg [31:0] idle = 0;
  wire moved = /* MOVED */;
  wire done = /* DONE */;
  initial begin
    repeat (4) @(posedge aclk);
    aresetn <= 1;
  end
  always @(posedge aclk)
    if (aresetn) begin
      idle <= moved ? 0 : idle + 1;
      if (done && idle == QUIET) begin
        $display("PASSED %0d rows", ROWS);
        $finish;
      end
      if (!done && idle == LIMIT) begin
        $display("FAILED: no beat has moved for %0d cycles, in row %0d, beat %0d of m_axis", LIMIT,
                 m_axis_row, m_axis_beat);
        $stop;
      end
    end
endmodule
