// Runs a verilated board, its UART on a pseudo-terminal.
//
// The build defines EXAQ_DIVISOR, cycles of the clock to a bit of the UART, and EXAQ_TRACE. The
// module has the ports clock, rx, tx. Options are --NAME VALUE; exaq_fpga.virtual.virtual_board has them.
//
// On standard output comes a line with the terminal's name, once the board is up, and at the end
// one with statistics as JSON.
//
// Simulated time passes only while there is something to simulate. It stands still while
//  - nothing has moved on either line for `linger` cycles, until the host writes;
//  - the host does not take what the board sends;
//  - a frame has just gone to the host, which has yet to answer it: at most `patience`
//    milliseconds. So a slow host does not show as a pause on the line.

#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "Vboard.h"
#include "line.h"
#include "terminal.h"
#include "verilated.h"
#if EXAQ_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

constexpr int kDivisor = EXAQ_DIVISOR;
constexpr uint64_t kOctetCycles = static_cast<uint64_t>(kDivisor) * kOctetBits;
// A frame's last octet; see exaq_fpga.link.
constexpr uint8_t kDelimiter = 0;
// Octets that go to the terminal at once.
constexpr size_t kChunk = 64;
// Cycles between two looks whether the process is to end.
constexpr uint64_t kLook = 1 << 14;

using Clock = std::chrono::steady_clock;

struct Options {
    Faults faults;
    uint64_t seed = 0, boot = 8192, linger = 1 << 18;
    int patience = 10;
    std::string waves;

    Options(int count, char** texts) {
        for (int i = 1; i < count; i += 2) {
            const std::string name = texts[i];
            if (i + 1 == count || !set(name, texts[i + 1])) {
                std::fprintf(stderr, "no such option: %s\n", name.c_str());
                std::exit(2);
            }
        }
    }

private:
    bool set(const std::string& name, const char* text) {
        const struct {
            const char* name;
            double* value;
        } rates[] = {{"--noise", &faults.noise},
                     {"--drop", &faults.drop},
                     {"--double", &faults.twice},
                     {"--breaks", &faults.breaks},
                     {"--garbage", &faults.garbage}};
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

// Cycles of the board's answers, for the share of them in which the board sent.
class Answers {
public:
    // The board has sent an octet, its last cycle being `now`.
    void sent(uint64_t now) {
        if (octets_++ == 0) {
            first_ = now - kOctetCycles;
            waited_ = 0;
        }
        span_ = now - first_ - waited_;
    }

    // The board had nothing to do for `cycles`.
    void waited(uint64_t cycles) { waited_ += cycles; }

    uint64_t octets() const { return octets_; }
    uint64_t span() const { return span_; }

private:
    uint64_t octets_ = 0, first_ = 0, waited_ = 0, span_ = 0;
};

class Bench {
public:
    Bench(const Options& options, Stop& stop)
        : options_(options),
          stop_(stop),
          terminal_(stop),
          context_(std::make_unique<VerilatedContext>()),
          to_board_(options.faults, options.seed * 2),
          to_host_(options.faults, options.seed * 2 + 1) {
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

    void run() {
        const Clock::time_point begin = Clock::now();
        board_->rx = 1;
        while (cycles_ < options_.boot) cycle();
        std::printf("%s\n", terminal_.name().c_str());
        std::fflush(stdout);
        while (!ended()) {
            if (driver_.resting()) feed();
            cycle();
            if (sampler_.step(board_->tx)) hear();
            settle();
        }
        board_->final();
#if EXAQ_TRACE
        if (trace_) trace_->close();
#endif
        report(std::chrono::duration<double>(Clock::now() - begin).count());
    }

private:
    void cycle() {
        board_->rx = driver_.step();
        half(1);
        half(0);
        ++cycles_;
    }

    void half(uint8_t level) {
        board_->clock = level;
        board_->eval();
#if EXAQ_TRACE
        if (trace_) trace_->dump(cycles_ * 10 + (level ? 0 : 5));
#endif
    }

    bool ended() {
        if (cycles_ < next_look_) return false;
        next_look_ = cycles_ + kLook;
        return stop_.asked();
    }

    // Puts the next octet of the host on the line, if there is one.
    void feed() {
        if (inbox_.empty()) {
            if (cycles_ < next_read_) return;
            terminal_.read(inbox_);
            next_read_ = cycles_ + kOctetCycles;
            if (inbox_.empty()) return;
        }
        // Between two octets of the board there is a moment's silence as well.
        if (silence_ > kOctetCycles) answers_.waited(silence_);
        silence_ = 0;
        driver_.send(inbox_.front());
        inbox_.pop_front();
        ++from_host_;
    }

    // The board has sent an octet.
    void hear() {
        answers_.sent(cycles_);
        bits_.clear();
        if (sampler_.whole()) {
            to_host_.carry(sampler_.octet(), bits_);
        } else {
            ++broken_;
            Line::carry_break(bits_);
        }
        port_.hear(bits_, outbox_);
        const bool frame = sampler_.octet() == kDelimiter;
        if (frame || outbox_.size() >= kChunk) flush();
        if (frame && inbox_.empty()) {
            stand([&] { terminal_.wait(options_.patience); });
            next_read_ = 0;
        }
    }

    // Counts cycles in which nothing moves on the lines; after `linger` of them stands still.
    void settle() {
        if (!driver_.resting() || !sampler_.resting()) {
            silence_ = 0;
            return;
        }
        if (++silence_ == kOctetCycles) {
            port_.rest(outbox_);
            flush();
        }
        if (silence_ >= options_.linger) {
            stand([&] { terminal_.wait(-1); });
            next_read_ = next_look_ = 0;
        }
    }

    void flush() {
        if (!outbox_.empty()) stand([&] { terminal_.write(outbox_, inbox_); });
    }

    template <typename Action>
    void stand(Action action) {
        const Clock::time_point begin = Clock::now();
        action();
        standing_ += std::chrono::duration<double>(Clock::now() - begin).count();
    }

    void report(double seconds) const {
        const FaultCounts in = to_board_.counts(), out = to_host_.counts();
        std::printf("{\"cycles\": %" PRIu64 ", \"octets_in\": %" PRIu64 ", \"octets_out\": %" PRIu64
                    ", \"answer_cycles\": %" PRIu64 ", \"broken\": %" PRIu64 ", \"divisor\": %d"
                    ", \"seconds\": %.6f, \"standing\": %.6f, \"faults\": {\"noise\": %" PRIu64
                    ", \"drop\": %" PRIu64 ", \"double\": %" PRIu64 ", \"breaks\": %" PRIu64
                    ", \"garbage\": %" PRIu64 "}}\n",
                    cycles_, from_host_, answers_.octets(), answers_.span(), broken_, kDivisor,
                    seconds, standing_, in.noise + out.noise, in.drop + out.drop, in.twice + out.twice,
                    in.breaks + out.breaks, in.garbage + out.garbage);
    }

    Options options_;
    Stop& stop_;
    Terminal terminal_;
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vboard> board_;
#if EXAQ_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
#endif
    Line to_board_, to_host_;
    Driver<kDivisor> driver_{to_board_};
    Sampler<kDivisor> sampler_;
    SerialPort port_;
    Answers answers_;
    std::deque<uint8_t> inbox_;
    std::vector<uint8_t> outbox_, bits_;
    uint64_t cycles_ = 0, silence_ = 0, next_read_ = 0, next_look_ = 0, from_host_ = 0, broken_ = 0;
    double standing_ = 0;
};

}  // namespace

int main(int count, char** texts) {
    const Options options(count, texts);
    Stop stop;
    Bench(options, stop).run();
    return 0;
}
