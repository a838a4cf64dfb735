// The Verilated NIC clocked by itself, nothing attached: the limit for any bench around it.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vbare.h"
#include "verilated.h"

int main(int argc, char** argv) {
    const uint64_t cycles = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000000;
    Vbare nic;
    nic.read_request_ready = nic.write_request_ready = nic.write_data_ready = nic.response_ready = nic.link = 1;
    auto clock = [&nic](uint64_t count) {
        for (uint64_t i = 0; i < count; i++) {
            nic.clk = 1;
            nic.eval();
            nic.clk = 0;
            nic.eval();
        }
    };
    nic.rst = 1;
    clock(8);
    nic.rst = 0;
    clock(1000);
    const auto start = std::chrono::steady_clock::now();
    clock(cycles);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    std::printf("%.0f\n", double(cycles) / spent.count());
    return 0;
}
