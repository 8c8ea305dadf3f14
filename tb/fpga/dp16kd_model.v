// Behavioural model of the ECP5's block RAM DP16KD behind its pins, as far as Yosys uses it: ports
// of 9, 18 and 36 bits, write mode NORMAL, no reset, and the optional output register. A side 36
// bits wide uses the data pins of both sides: it writes {DIB, DIA} and reads {DOB, DOA}. Reading a
// word in the cycle in which the other side writes it gives X.
`default_nettype none
module dp16kd_model #(
  parameter WIDTH_A = 18,
  parameter WIDTH_B = 18,
  parameter REGISTER_A = 0,
  parameter REGISTER_B = 0,
  parameter [64*320-1:0] INIT = 0
) (
  input wire clka, cea, wea, ocea, clkb, ceb, web, oceb,
  input wire [13:0] ada, adb,
  input wire [17:0] dia, dib,
  output wire [17:0] doa, dob
);
  reg [17:0] words [0:1023];
  reg [35:0] latch_a, latch_b;
  reg [17:0] register_a, register_b;
  integer i;

  initial begin
    for (i = 0; i < 1024; i = i + 1) words[i] = INIT[20 * i +: 18];
    latch_a = 0;
    latch_b = 0;
    register_a = 0;
    register_b = 0;
    if (WIDTH_A < 9 || WIDTH_B < 9) begin
      $display("FAILED: no model for ports below 9 bits");
      $finish;
    end
  end

  function [35:0] word(input [13:0] address, input integer width);
    case (width)
      36: word = {words[{address[13:5], 1'b1}], words[{address[13:5], 1'b0}]};
      18: word = words[address[13:4]];
      default: word = address[3] ? words[address[13:4]][17:9] : words[address[13:4]][8:0];
    endcase
  endfunction

  function same(input [13:0] a, input [13:0] b);
    same = a[13:5] == b[13:5] && (WIDTH_A == 36 || WIDTH_B == 36 ||
      a[4] == b[4] && (WIDTH_A == 18 || WIDTH_B == 18 || a[3] == b[3]));
  endfunction

  task store(input [13:0] address, input integer width, input [35:0] data);
    case (width)
      36: begin
        if (address[0]) words[{address[13:5], 1'b0}][8:0] = data[8:0];
        if (address[1]) words[{address[13:5], 1'b0}][17:9] = data[17:9];
        if (address[2]) words[{address[13:5], 1'b1}][8:0] = data[26:18];
        if (address[3]) words[{address[13:5], 1'b1}][17:9] = data[35:27];
      end
      18: begin
        if (address[0]) words[address[13:4]][8:0] = data[8:0];
        if (address[1]) words[address[13:4]][17:9] = data[17:9];
      end
      default:
        if (address[3]) words[address[13:4]][17:9] = data[8:0];
        else words[address[13:4]][8:0] = data[8:0];
    endcase
  endtask

  // One process, so that both sides see the words of before the edge; the sides share the clock.
  always @(posedge clka) begin
    if (clkb !== 1'b1) begin
      $display("FAILED: the model wants one clock");
      $finish;
    end
    if (oceb) register_b <= WIDTH_B == 36 ? latch_b[35:18] : latch_b[17:0];
    if (WIDTH_B == 36) begin
      if (ocea !== oceb) register_a <= 18'bx;
      else if (oceb) register_a <= latch_b[17:0];
    end else if (ocea) register_a <= latch_a[17:0];
    if (cea && !wea) latch_a <= word(ada, WIDTH_A);
    if (ceb && !web) latch_b <= cea && wea && same(ada, adb) ? 36'bx : word(adb, WIDTH_B);
    if (cea && wea) store(ada, WIDTH_A, {dib, dia});
    if (ceb && web) store(adb, WIDTH_B, {18'b0, dib});
  end

  wire [17:0] low = WIDTH_B == 36 ? latch_b[17:0] : latch_a[17:0];
  wire [17:0] high = WIDTH_B == 36 ? latch_b[35:18] : latch_b[17:0];
  assign doa = REGISTER_A ? register_a : low;
  assign dob = REGISTER_B ? register_b : high;
endmodule
