// Runs a verilated board, its UART on a pseudo-terminal.
//
// The build defines EXAQ_DIVISOR, cycles of the clock to a bit of the UART. The module has the ports
// clock, rx, tx. bench.h has what is the same for every link; the port is the terminal's name.
//
// Simulated time passes only while there is something to simulate. It stands still while
//  - nothing has moved on either line for `linger` cycles, until the host writes;
//  - the host does not take what the board sends;
//  - a frame has just gone to the host, which has yet to answer it: at most `patience`
//    milliseconds. So a slow host does not show as a pause on the line.

#include "bench.h"
#include "line.h"
#include "terminal.h"

namespace {

constexpr int kDivisor = EXAQ_DIVISOR;
constexpr uint64_t kOctetCycles = static_cast<uint64_t>(kDivisor) * kOctetBits;
// A frame's last octet; see exaq_fpga.link.
constexpr uint8_t kDelimiter = 0;
// Octets that go to the terminal at once.
constexpr size_t kChunk = 64;

class UartBench : Bench {
public:
    UartBench(const Options& options, const Faults& faults, Stop& stop)
        : Bench(options, stop),
          terminal_(stop),
          to_board_(faults, options.seed * 2),
          to_host_(faults, options.seed * 2 + 1) {}

    void run() {
        board_->rx = 1;
        while (cycles_ < options_.boot) cycle();
        announce(terminal_.name());
        while (!ended()) {
            if (driver_.resting()) feed();
            cycle();
            if (sampler_.step(board_->tx)) hear();
            settle();
        }
        finish();
        report();
    }

private:
    void cycle() {
        board_->rx = driver_.step();
        half(1);
        half(0);
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
        answers_.sent(1, kOctetCycles, cycles_);
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
            next_read_ = 0;
            look();
        }
    }

    void flush() {
        if (!outbox_.empty()) stand([&] { terminal_.write(outbox_, inbox_); });
    }

    void report() const {
        Bench::report();
        const FaultCounts in = to_board_.counts(), out = to_host_.counts();
        std::printf(", \"octets_in\": %" PRIu64 ", \"octets_out\": %" PRIu64
                    ", \"answer_cycles\": %" PRIu64 ", \"broken\": %" PRIu64
                    ", \"octet_cycles\": %" PRIu64 ", \"faults\": {\"noise\": %" PRIu64
                    ", \"drop\": %" PRIu64 ", \"double\": %" PRIu64 ", \"breaks\": %" PRIu64
                    ", \"garbage\": %" PRIu64 "}}\n",
                    from_host_, answers_.octets(), answers_.span(), broken_, kOctetCycles,
                    in.noise + out.noise, in.drop + out.drop, in.twice + out.twice,
                    in.breaks + out.breaks, in.garbage + out.garbage);
    }

    Terminal terminal_;
    Line to_board_, to_host_;
    Driver<kDivisor> driver_{to_board_};
    Sampler<kDivisor> sampler_;
    SerialPort port_;
    Answers answers_;
    std::deque<uint8_t> inbox_;
    std::vector<uint8_t> outbox_, bits_;
    uint64_t silence_ = 0, next_read_ = 0, from_host_ = 0, broken_ = 0;
};

}  // namespace

int main(int count, char** texts) {
    Faults faults;
    const Options options(count, texts,
                          {{"--noise", &faults.noise},
                           {"--drop", &faults.drop},
                           {"--double", &faults.twice},
                           {"--breaks", &faults.breaks},
                           {"--garbage", &faults.garbage}});
    Stop stop;
    UartBench(options, faults, stop).run();
    return 0;
}
