// Clocks the SoC and prints what its UART gives, up to the character that ends a transmission.

#include <cstdio>

#include "Vsoc.h"
#include "verilated.h"

int main() {
    constexpr long kCycles = 3'000'000;
    constexpr int kReset = 8;
    constexpr char kEnd = 4;
    VerilatedContext context;
    Vsoc soc{&context};
    soc.serial_source_ready = 1;
    for (long cycle = 0; cycle < kCycles; ++cycle) {
        soc.sys_rst = cycle < kReset;
        soc.sys_clk = 0;
        soc.eval();
        if (soc.serial_source_valid && cycle >= kReset) {
            if (soc.serial_source_data == kEnd) return 0;
            std::putchar(soc.serial_source_data);
        }
        soc.sys_clk = 1;
        soc.eval();
    }
    std::fputs("the firmware did not come to its end\n", stderr);
    return 1;
}
