// Bench of /* NAME */, made by exaq-softmax /* VERSION */. It sends rows, with stalls on both
// sides, and compares every beat that comes out with what the golden model gives.
//
// It prints PASSED and the number of rows; or FAILED with row and beat, counted from 0, what was
// expected and what was found. Then it calls $stop, by which a simulator that runs in a batch ends
// with an exit code other than 0: Icarus as `vvp -N`.

module /* BENCH */;
  localparam ROWS = /* ROWS */;
  // Cycles without a beat on either side that no working unit needs, and those in which nothing
  // may come behind the last row.
  localparam LIMIT = /* LIMIT */;
  localparam QUIET = 64;

  reg aclk = 0, aresetn = 0;
  always #5 aclk = ~aclk;

  // Phases without stalls, with some of one side and of both, and with all that comes out waiting.
  reg [31:0] lfsr = 1;
  reg [31:0] cycle = 0;
  wire source_stalls = cycle[5] & lfsr[0];
  wire sinks_stall = cycle[6];
  wire sinks_wait = cycle[8:7] == 1;
  always @(posedge aclk) begin
    cycle <= cycle + 1;
    lfsr <= {lfsr[30:0], lfsr[31] ^ lfsr[21] ^ lfsr[1] ^ lfsr[0]};
  end

  /* STREAMS */

  /* NAME */ unit (
    /* PORTS */
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
