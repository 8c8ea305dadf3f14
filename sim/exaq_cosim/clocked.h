// What the drivers of verilated units share: clock, reset, waves, and the dice of stalls. The build
// defines EXAQ_TRACE.

#pragma once

#include <cstdint>

#include "random.h"
#include "verilated.h"
#if EXAQ_TRACE
#include "verilated_vcd_c.h"
#endif

#define EXPORTED __attribute__((visibility("default")))

// A verilated module with the ports aclk and aresetn. A side pauses where a random 64-bit number is
// below `stall`.
template <class Module>
class Clocked {
  protected:
    Clocked(const char* waves, uint64_t seed, uint64_t stall) : random{seed}, stall(stall) {
#if EXAQ_TRACE
        context.traceEverOn(true);
        top.trace(&trace, 99);
        trace.set_time_unit("1ns");
        trace.set_time_resolution("1ns");
        trace.open(waves);
#else
        (void)waves;
#endif
    }

    ~Clocked() {
        top.final();
#if EXAQ_TRACE
        trace.close();
#endif
    }

    // To be called once the inputs have their first values.
    void reset(int64_t cycles = kResetCycles) {
        // Flops with an asynchronous reset, as models of cells have them, wait for its edge: a clock
        // that is gated gives them none.
        top.aclk = 0;
        top.aresetn = 1;
        top.eval();
        top.aresetn = 0;
        for (int64_t i = 0; i < cycles; ++i) {
            settle();
            tick();
        }
        top.aresetn = 1;
    }

    void settle() {
        top.aclk = 0;
        top.eval();
        dump();
    }

    void tick() {
        top.aclk = 1;
        top.eval();
        dump();
    }

    bool paused() { return struck(stall); }

    // A random number below `end`.
    int64_t drawn(uint64_t end) { return static_cast<int64_t>(random.next() % end); }

    // Whether a random 64-bit number is below `share`; none is drawn where that is 0.
    bool struck(uint64_t share) { return share && random.next() < share; }

  private:
    static constexpr int64_t kResetCycles = 8;

    void dump() {
#if EXAQ_TRACE
        trace.dump(static_cast<uint64_t>(time));
        time += kHalfPeriod;
#endif
    }

    SplitMix random;
    uint64_t stall;
    VerilatedContext context;

  protected:
    Module top{&context, "TOP"};

  private:
#if EXAQ_TRACE
    static constexpr int64_t kHalfPeriod = 5;
    VerilatedVcdC trace;
    int64_t time = 0;
#endif
};
