// Runs a verilated board, its Ethernet PHY on a UDP socket of this machine.
//
// The build defines EXAQ_ADDRESS, the board's IPv4 address as a string; EXAQ_PORT, its UDP port; and
// EXAQ_PERIOD, cycles of the clock to a period of RGMII's. The module has the port clock and those of the
// PHY. bench.h has what is the same for every link.
//
// Simulated time passes only while there is something to simulate. It stands still while
//  - nothing has moved on either line for `linger` cycles, until a host sends;
//  - a datagram has just gone to a host, which has yet to answer it: at most `patience`
//    milliseconds. So a slow host does not show as a pause on the line.

#include "bench.h"
#include "cable.h"
#include "network.h"
#include "phy.h"

namespace {

// Octets of a datagram's number, which is not the link's.
constexpr int kNumber = 2;
// Cycles until the PHY must have been set up, and in which the board must answer ARP.
constexpr uint64_t kSetUp = 1 << 23, kAnswer = 1 << 16;

class EthernetBench : Bench {
public:
    EthernetBench(const Options& options, const Faults& faults, Stop& stop)
        : Bench(options, stop),
          network_(EXAQ_ADDRESS, EXAQ_PORT),
          to_board_(faults, options.seed * 2, network_),
          to_host_(faults, options.seed * 2 + 1, network_) {}

    void run() {
        while (!management_.ready()) {
            if (cycles_ >= kSetUp) fail("the board has not told its PHY to speak 100 Mbit/s");
            cycle();
        }
        resolve();
        announce(network_.name());
        while (!ended()) {
            if (receiving_.resting()) feed();
            cycle();
            if (heard_) hear();
            settle();
        }
        finish();
        report();
    }

private:
    [[noreturn]] static void fail(const char* why) {
        std::fprintf(stderr, "%s\n", why);
        std::exit(1);
    }

    void cycle() {
        edge(1);
        edge(0);
        heard_ = transmitting_.step(board_->tx_clk, board_->tx_ctl, board_->tx_data);
        // The pin is low while the PHY is to be in reset.
        management_.step(!board_->reset, board_->mdc, board_->mdio);
    }

    void edge(uint8_t level) {
        receiving_.step();
        board_->rx_clk = receiving_.clock;
        board_->rx_ctl = receiving_.control;
        board_->rx_data = receiving_.data;
        half(level);
    }

    // The board's hardware address, on a cable that nothing disturbs.
    void resolve() {
        receiving_.send(network_.ask());
        for (uint64_t end = cycles_ + kAnswer; !network_.resolved() && cycles_ < end;) {
            cycle();
            if (heard_) network_.deliver(transmitting_.frame);
        }
        if (!network_.resolved()) fail("the board does not answer an ARP request");
    }

    // Puts the next datagram of a host on the cable, if there is one.
    void feed() {
        if (frames_.empty()) {
            if (cycles_ < next_read_) return;
            next_read_ = cycles_ + kOctetCycles;
            Octets frame;
            size_t octets;
            if (!network_.receive(frame, octets)) return;
            to_board_.carry(frame, frames_);
            from_host_ += octets - kNumber;
            if (frames_.empty()) return;
        }
        if (silence_ > kOctetCycles) answers_.waited(silence_);
        silence_ = 0;
        receiving_.send(frames_.front());
        frames_.pop_front();
    }

    // The board has sent a frame.
    void hear() {
        const Octets& frame = transmitting_.frame;
        const int octets = transmitting_.whole() ? network_.judge(frame) : -1;
        broken_ += octets < 0;
        if (octets > kNumber)
            answers_.sent(static_cast<uint64_t>(octets - kNumber),
                          kOctetCycles * (kPreamble + frame.size()), cycles_);
        std::deque<Octets> carried;
        to_host_.carry(frame, carried);
        deliver(carried);
        if (receiving_.resting() && frames_.empty()) {
            stand([&] { stop_.await(network_.descriptor(), POLLIN, options_.patience); });
            next_read_ = 0;
        }
    }

    void deliver(std::deque<Octets>& carried) {
        for (; !carried.empty(); carried.pop_front())
            network_.deliver(carried.front());
    }

    // Counts cycles in which nothing moves on the lines; after `linger` of them stands still.
    void settle() {
        if (!receiving_.resting() || !transmitting_.resting()) {
            silence_ = 0;
            return;
        }
        if (++silence_ < options_.linger) return;
        std::deque<Octets> carried;
        to_host_.rest(carried);
        deliver(carried);
        to_board_.rest(frames_);
        if (frames_.empty()) stand([&] { stop_.await(network_.descriptor(), POLLIN, -1); });
        next_read_ = 0;
        look();
    }

    void report() const {
        Bench::report();
        const FaultCounts in = to_board_.counts(), out = to_host_.counts();
        std::printf(", \"octets_in\": %" PRIu64 ", \"octets_out\": %" PRIu64
                    ", \"answer_cycles\": %" PRIu64 ", \"broken\": %" PRIu64
                    ", \"octet_cycles\": %" PRIu64 ", \"faults\": {\"noise\": %" PRIu64
                    ", \"drop\": %" PRIu64 ", \"double\": %" PRIu64 ", \"reorder\": %" PRIu64
                    ", \"garbage\": %" PRIu64 "}}\n",
                    from_host_, answers_.octets(), answers_.span(),
                    broken_ + management_.again(), kOctetCycles,
                    in.noise + out.noise, in.drop + out.drop, in.twice + out.twice,
                    in.reorder + out.reorder, in.garbage + out.garbage);
    }

    Network network_;
    Cable to_board_, to_host_;
    Receiving receiving_;
    Transmitting transmitting_;
    Management management_;
    Answers answers_;
    std::deque<Octets> frames_;
    bool heard_ = false;
    uint64_t silence_ = 0, next_read_ = 0, from_host_ = 0, broken_ = 0;
};

}  // namespace

int main(int count, char** texts) {
    Faults faults;
    const Options options(count, texts,
                          {{"--noise", &faults.noise},
                           {"--drop", &faults.drop},
                           {"--double", &faults.twice},
                           {"--reorder", &faults.reorder},
                           {"--garbage", &faults.garbage}});
    Stop stop;
    EthernetBench(options, faults, stop).run();
    return 0;
}
