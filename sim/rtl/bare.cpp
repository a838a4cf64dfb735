// The Verilated NIC clocked by itself, nothing attached: the limit for any bench around it.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vnic.h"
#include "verilated.h"

int main(int argc, char** argv) {
    const uint64_t cycles = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000000;
    Vnic nic;
    auto clock = [&nic](uint64_t count) {
        for (uint64_t i = 0; i < count; i++) {
            nic.clk = nic.gmii_rx_clk = 1;
            nic.eval();
            nic.clk = nic.gmii_rx_clk = 0;
            nic.eval();
        }
    };
    nic.rst = nic.gmii_rx_rst = 1;
    clock(8);
    nic.rst = nic.gmii_rx_rst = 0;
    clock(1000);
    const auto start = std::chrono::steady_clock::now();
    clock(cycles);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    std::printf("%.0f\n", double(cycles) / spent.count());
    return 0;
}
