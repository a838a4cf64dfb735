// Models of the ECP5 primitives at a board's pins, for simulation (Lattice FPGA-TN-02032 sysI/O, FPGA-TN-02035 high-speed
// I/O, FPGA-TN-02200 sysCLOCK PLL). Time is in picoseconds.
`timescale 1ps/1ps

module IB(input I, output O);
  assign O = I;
endmodule

module OBZ(input I, input T, output O);
  assign O = I;
  always @(posedge T) $fatal(1, "an output is switched off");
endmodule

module BB(input I, input T, output O, inout B);
  assign B = T ? 1'bz : I;
  assign O = B;
endmodule

// Q has D0 in the first half of a clock cycle and D1 in the second, two cycles later. Each edge changes one of two
// registers, whose difference is the pin: no glitch.
module ODDRX1F(input SCLK, input RST, input D0, input D1, output Q);
  reg first = 0, second = 0, second_held = 0, rising = 0, falling = 0;
  always @(posedge SCLK) begin
    first <= D0;
    second <= D1;
    second_held <= second;
    rising <= first ^ falling;
  end
  always @(negedge SCLK) falling <= second_held ^ rising;
  assign Q = rising ^ falling;
endmodule

// Q0 has what was at a rising edge, Q1 what was at the falling edge behind it; both change at rising edges.
module IDDRX1F(input SCLK, input RST, input D, output reg Q0, output reg Q1);
  reg rising = 0, falling = 0;
  initial begin Q0 = 0; Q1 = 0; end
  always @(negedge SCLK) falling <= D;
  always @(posedge SCLK) begin
    rising <= D;
    Q0 <= rising;
    Q1 <= falling;
  end
endmodule

module DELAYG(input A, output reg Z);
  parameter DEL_MODE = "USER_DEFINED";
  parameter integer DEL_VALUE = 0;
  initial Z = 0;
  always @(A) Z <= #(25 * DEL_VALUE) A;
endmodule

// Multiplies the frequency that it measures; refuses what the device could not do.
module EHXPLLL(
    input CLKI, input CLKFB, input RST, input STDBY, input PHASESEL0, input PHASESEL1, input PHASEDIR,
    input PHASESTEP, input PHASELOADREG, input PLLWAKESYNC, input ENCLKOP, output reg CLKOP, output reg LOCK);
  parameter integer CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
  parameter CLKOP_ENABLE = "DISABLED", FEEDBK_PATH = "CLKOP", OUTDIVIDER_MUXA = "DIVA", PLLRST_ENA = "DISABLED";
  parameter INTFB_WAKE = "DISABLED", STDBY_ENABLE = "DISABLED", DPHASE_SOURCE = "DISABLED";
  time begun;
  real period;
  initial begin
    CLKOP = 0;
    LOCK = 0;
    @(posedge CLKI) begun = $time;
    repeat (10) @(posedge CLKI);
    period = ($time - begun) / 10.0 * CLKI_DIV / CLKFB_DIV;
    if (CLKOP_DIV * 1e6 / period < 400 || CLKOP_DIV * 1e6 / period > 800) $fatal(1, "the PLL's oscillator is out of range");
    if (FEEDBK_PATH != "CLKOP" || CLKOP_ENABLE != "ENABLED") $fatal(1, "the PLL is not as the model knows it");
    fork
      forever #(period / 2) CLKOP = !CLKOP;
      begin
        repeat (20) @(posedge CLKI);
        LOCK = 1;
      end
    join
  end
endmodule
