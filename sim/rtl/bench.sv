// The NIC with its surroundings: a clock made here, and one call per cycle into bench.cpp, which plays the host's bus
// and memory and the far end of the GMII. Python wakes only when ``wake`` changes; that is the one public signal.
`timescale 1ns / 1ns

module bench;
    import "DPI-C" function void niclab_tick(
        input bit read_request_valid, input longint unsigned read_request_address,
        input int unsigned read_request_length, input int unsigned read_request_tag,
        input bit write_request_valid, input longint unsigned write_request_address,
        input int unsigned write_request_length,
        input bit write_data_valid, input longint unsigned write_data,
        input int unsigned write_strobe, input bit write_last,
        input bit register_ready, input bit response_valid, input int unsigned response,
        input bit interrupt_pin, input int unsigned txd, input bit tx_en, input bit tx_er, input bit working,
        output bit read_data_valid, output longint unsigned read_data,
        output int unsigned read_tag, output bit read_last,
        output bit write_data_ready,
        output bit register_valid, output int unsigned register_address,
        output bit register_write, output int unsigned register_data, output bit register_io,
        output int unsigned rxd, output bit rx_dv, output bit reset_now, output bit wake_now
    );

    bit clk = 1'b0;
    bit rst = 1'b1;
    bit wake = 1'b0;
    int unsigned reset_cycles = 8;

    // 125 MHz. A pulse without width is one time step per cycle for the simulator instead of two, which is a third of its
    // speed; in waveforms one wants to see the clock.
`ifdef WAVES
    always #4 clk = ~clk;
`else
    always #8 begin
        clk = 1'b1;
        clk <= 1'b0;
    end
`endif

    wire read_request_valid, write_request_valid, write_data_valid, register_ready, response_valid, interrupt;
    wire [75:0] read_request;
    wire [73:0] write_request;
    wire [72:0] write_data;
    wire [31:0] response;
    wire [7:0] txd;
    wire tx_en, tx_er, mdc, io_ready, io_response_valid;
    wire [31:0] io_response;

    bit read_data_valid, read_last, write_data_ready, register_valid, register_write, register_io, rx_dv;
    bit mdc_before = 1'b0;
    longint unsigned read_data;
    int unsigned read_tag, register_address, register_data, rxd;

    nic nic (
        .clk(clk), .rst(rst), .gmii_rx_clk(clk), .gmii_rx_rst(rst),
        .memory__read_request__valid(read_request_valid), .memory__read_request__ready(1'b1),
        .memory__read_request__payload(read_request),
        .memory__read_data__valid(read_data_valid),
        .memory__read_data__payload({read_last, read_tag[1:0], read_data}),
        .memory__write_request__valid(write_request_valid), .memory__write_request__ready(1'b1),
        .memory__write_request__payload(write_request),
        .memory__write_data__valid(write_data_valid), .memory__write_data__ready(write_data_ready),
        .memory__write_data__payload(write_data),
        .registers__request__valid(register_valid & ~register_io), .registers__request__ready(register_ready),
        .registers__request__payload({register_data, register_write, register_address[16:0]}),
        .registers__response__valid(response_valid), .registers__response__ready(1'b1),
        .registers__response__payload(response),
        .interrupt(interrupt),
        .gmii__txd(txd), .gmii__tx_en(tx_en), .gmii__tx_er(tx_er),
        .gmii__rxd(rxd[7:0]), .gmii__rx_dv(rx_dv), .gmii__rx_er(1'b0),
        .io__request__valid(register_valid & register_io), .io__request__ready(io_ready),
        .io__request__payload({register_data, 4'b1111, register_write, register_address[4:0]}),
        .io__response__valid(io_response_valid), .io__response__ready(1'b1), .io__response__payload(io_response),
        .leds(), .pme(), .sdp__i('0), .sdp__o(), .sdp__oe(),
        .link(1'b1), .mdio__i(1'b1), .mdio__mdc(mdc), .mdio__o(), .mdio__oe()
    );

    // What goes on inside without a sign on the pins: a delay timer, an interrupt that ITR holds back, a pause that the
    // far end asked for.
    wire timers = nic.transmit_delay.running | nic.receive_delay.running | nic.flow_control.timer.busy
        | (nic.interrupts.gate.pending & ~interrupt);

    always @(posedge clk) begin
        bit next_read_data_valid, next_read_last, next_write_data_ready;
        bit next_register_valid, next_register_write, next_register_io, next_rx_dv, reset_now, wake_now;
        longint unsigned next_read_data;
        int unsigned next_read_tag, next_register_address, next_register_data, next_rxd;

        if (reset_cycles != 0) begin
            reset_cycles <= reset_cycles - 1;
            rst <= reset_cycles != 1;
        end
        mdc_before <= mdc;
        niclab_tick(
            read_request_valid & ~rst, read_request[63:0], 32'(read_request[73:64]), 32'(read_request[75:74]),
            write_request_valid & ~rst, write_request[63:0], 32'(write_request[73:64]),
            write_data_valid & ~rst, write_data[63:0], 32'(write_data[71:64]), write_data[72],
            (register_io ? io_ready : register_ready) & ~rst, (response_valid | io_response_valid) & ~rst,
            response_valid ? response : io_response,
            interrupt & ~rst, 32'(txd), tx_en & ~rst, tx_er, timers | (mdc ^ mdc_before),
            next_read_data_valid, next_read_data, next_read_tag, next_read_last,
            next_write_data_ready,
            next_register_valid, next_register_address, next_register_write, next_register_data, next_register_io,
            next_rxd, next_rx_dv, reset_now, wake_now
        );
        read_data_valid <= next_read_data_valid;
        read_data <= next_read_data;
        read_tag <= next_read_tag;
        read_last <= next_read_last;
        write_data_ready <= next_write_data_ready;
        register_valid <= next_register_valid;
        register_address <= next_register_address;
        register_write <= next_register_write;
        register_data <= next_register_data;
        register_io <= next_register_io;
        rxd <= next_rxd;
        rx_dv <= next_rx_dv;
        if (reset_now) begin
            reset_cycles <= 8;
            rst <= 1'b1;
        end
        if (wake_now) wake <= ~wake;
    end
endmodule
