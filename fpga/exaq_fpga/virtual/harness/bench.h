// What runs a verilated board, whatever its link is: options, clock, waves, and time that stands.
//
// The build defines EXAQ_TRACE. Options are --NAME VALUE; exaq_fpga.virtual.virtual_board has them.
//
// On standard output comes a line with the port's name, once the board is up, and at the end one
// with statistics as JSON.

#pragma once

#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>

#include "Vboard.h"
#include "stop.h"
#include "verilated.h"
#if EXAQ_TRACE
#include "verilated_vcd_c.h"
#endif

// A probability, by its name.
struct Rate {
    const char* name;
    double* value;
};

struct Options {
    uint64_t seed = 0, boot = 8192, linger = 1 << 18;
    int patience = 10;
    std::string waves;

    Options(int count, char** texts, std::initializer_list<Rate> rates) {
        for (int i = 1; i < count; i += 2) {
            const std::string name = texts[i];
            if (i + 1 == count || !set(name, texts[i + 1], rates)) {
                std::fprintf(stderr, "no such option: %s\n", name.c_str());
                std::exit(2);
            }
        }
    }

private:
    bool set(const std::string& name, const char* text, std::initializer_list<Rate> rates) {
        for (const auto& rate : rates)
            if (name == rate.name) return *rate.value = std::strtod(text, nullptr), true;
        const struct {
            const char* name;
            uint64_t* value;
        } numbers[] = {{"--seed", &seed}, {"--boot", &boot}, {"--linger", &linger}};
        for (const auto& number : numbers)
            if (name == number.name) return *number.value = std::strtoull(text, nullptr, 10), true;
        if (name == "--patience") return patience = std::atoi(text), true;
        if (name == "--waves") return waves = text, true;
        return false;
    }
};

class Bench {
protected:
    Bench(const Options& options, Stop& stop)
        : options_(options), stop_(stop), context_(std::make_unique<VerilatedContext>()) {
#if EXAQ_TRACE
        context_->traceEverOn(true);
#endif
        board_ = std::make_unique<Vboard>(context_.get());
#if EXAQ_TRACE
        if (!options.waves.empty()) {
            trace_ = std::make_unique<VerilatedVcdC>();
            board_->trace(trace_.get(), 99);
            trace_->open(options.waves.c_str());
        }
#endif
    }

    // Half a cycle, which begins with the clock at `level`.
    void half(uint8_t level) {
        board_->clock = level;
        board_->eval();
#if EXAQ_TRACE
        if (trace_) trace_->dump(cycles_ * 10 + (level ? 0 : 5));
#endif
        cycles_ += !level;
    }

    void announce(const std::string& port) const {
        std::printf("%s\n", port.c_str());
        std::fflush(stdout);
    }

    bool ended() {
        if (cycles_ < next_look_) return false;
        next_look_ = cycles_ + kLook;
        return stop_.asked();
    }

    // Simulated time stands still while `action` runs.
    template <typename Action>
    void stand(Action action) {
        const Clock::time_point begin = Clock::now();
        action();
        standing_ += std::chrono::duration<double>(Clock::now() - begin).count();
    }

    // Looks whether the process is to end at the next occasion.
    void look() { next_look_ = 0; }

    void finish() {
        board_->final();
#if EXAQ_TRACE
        if (trace_) trace_->close();
#endif
    }

    // The beginning of the statistics: what every link has.
    void report() const {
        const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
        std::printf("{\"cycles\": %" PRIu64 ", \"seconds\": %.6f, \"standing\": %.6f", cycles_,
                    seconds, standing_);
    }

    const Options& options_;
    Stop& stop_;
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vboard> board_;
    uint64_t cycles_ = 0;

private:
    using Clock = std::chrono::steady_clock;
    // Cycles between two looks whether the process is to end.
    static constexpr uint64_t kLook = 1 << 14;

#if EXAQ_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
#endif
    const Clock::time_point begin_ = Clock::now();
    uint64_t next_look_ = 0;
    double standing_ = 0;
};

// Cycles of the board's answers, for the share of them in which the board sent.
class Answers {
public:
    // The board has sent `octets`, which took `cycles` up to `now`.
    void sent(uint64_t octets, uint64_t cycles, uint64_t now) {
        if (octets_ == 0) {
            first_ = now - cycles;
            waited_ = 0;
        }
        octets_ += octets;
        span_ = now - first_ - waited_;
    }

    // The board had nothing to do for `cycles`.
    void waited(uint64_t cycles) { waited_ += cycles; }

    uint64_t octets() const { return octets_; }
    uint64_t span() const { return span_; }

private:
    uint64_t octets_ = 0, first_ = 0, waited_ = 0, span_ = 0;
};
