// The NIC as bench.sv has it: one clock for both of its domains, and inputs from registers (Verilator settles what depends
// on a port of the top level at every call). Every port is led outside, so that nothing is optimised away.
module bare (
    input clk, input rst,
    output read_request_valid, input read_request_ready, output [75:0] read_request,
    input read_data_valid, input [66:0] read_data,
    output write_request_valid, input write_request_ready, output [73:0] write_request,
    output write_data_valid, input write_data_ready, output [72:0] write_data,
    input register_valid, output register_ready, input [49:0] register_request,
    output response_valid, input response_ready, output [31:0] response,
    output interrupt_pin,
    output [7:0] txd, output tx_en, output tx_er,
    input [7:0] rxd, input rx_dv, input rx_er,
    input link, output mdc, output mdio_o, output mdio_oe, input mdio_i
);
    reg read_request_ready_q;
    reg read_data_valid_q;
    reg [66:0] read_data_q;
    reg write_request_ready_q;
    reg write_data_ready_q;
    reg register_valid_q;
    reg [49:0] register_request_q;
    reg response_ready_q;
    reg [7:0] rxd_q;
    reg rx_dv_q;
    reg rx_er_q;
    reg link_q;
    reg mdio_i_q;
    reg rst_q;

    always @(posedge clk) begin
        read_request_ready_q <= read_request_ready;
        read_data_valid_q <= read_data_valid;
        read_data_q <= read_data;
        write_request_ready_q <= write_request_ready;
        write_data_ready_q <= write_data_ready;
        register_valid_q <= register_valid;
        register_request_q <= register_request;
        response_ready_q <= response_ready;
        rxd_q <= rxd;
        rx_dv_q <= rx_dv;
        rx_er_q <= rx_er;
        link_q <= link;
        mdio_i_q <= mdio_i;
        rst_q <= rst;
    end

    nic nic (
        .clk(clk), .rst(rst_q), .gmii_rx_clk(clk), .gmii_rx_rst(rst_q),
        .memory__read_request__valid(read_request_valid), .memory__read_request__ready(read_request_ready_q),
        .memory__read_request__payload(read_request),
        .memory__read_data__valid(read_data_valid_q), .memory__read_data__payload(read_data_q),
        .memory__write_request__valid(write_request_valid), .memory__write_request__ready(write_request_ready_q),
        .memory__write_request__payload(write_request),
        .memory__write_data__valid(write_data_valid), .memory__write_data__ready(write_data_ready_q),
        .memory__write_data__payload(write_data),
        .registers__request__valid(register_valid_q), .registers__request__ready(register_ready),
        .registers__request__payload(register_request_q),
        .registers__response__valid(response_valid), .registers__response__ready(response_ready_q),
        .registers__response__payload(response),
        .interrupt(interrupt_pin),
        .gmii__txd(txd), .gmii__tx_en(tx_en), .gmii__tx_er(tx_er),
        .gmii__rxd(rxd_q), .gmii__rx_dv(rx_dv_q), .gmii__rx_er(rx_er_q),
        .io__request__valid(1'b0), .io__request__ready(), .io__request__payload('0),
        .io__response__valid(), .io__response__ready(1'b1), .io__response__payload(),
        .leds(), .pme(), .sdp__i('0), .sdp__o(), .sdp__oe(),
        .link(link_q), .mdio__mdc(mdc), .mdio__o(mdio_o), .mdio__oe(mdio_oe), .mdio__i(mdio_i_q)
    );
endmodule
