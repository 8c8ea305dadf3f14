// An Ethernet cable, frame by frame, and what disturbs it.

#pragma once

#include <cstdint>
#include <deque>
#include <utility>

#include "network.h"
#include "random.h"

// Probabilities: of each bit to be flipped; of each frame to be dropped, doubled, delivered behind
// the next one, preceded by a frame that is not for the board.
struct Faults {
    double noise = 0, drop = 0, twice = 0, reorder = 0, garbage = 0;
};

struct FaultCounts {
    uint64_t noise = 0, drop = 0, twice = 0, reorder = 0, garbage = 0;
};

// Frames to those that a disturbed cable delivers.
class Cable {
public:
    Cable(const Faults& faults, uint64_t seed, Network& network)
        : faults_(faults), random_{seed}, network_(network) {}

    // Appends to `frames`.
    void carry(const Octets& frame, std::deque<Octets>& frames) {
        if (random_.chance(faults_.garbage)) {
            ++counts_.garbage;
            frames.push_back(other_traffic());
        }
        if (random_.chance(faults_.drop)) {
            ++counts_.drop;
            return;
        }
        if (held_.empty() && random_.chance(faults_.reorder)) {
            ++counts_.reorder;
            held_ = frame;
            return;
        }
        pass(frame, frames);
        if (random_.chance(faults_.twice)) {
            ++counts_.twice;
            pass(frame, frames);
        }
        rest(frames);
    }

    // Delivers a frame that waits for the next one.
    void rest(std::deque<Octets>& frames) {
        if (held_.empty()) return;
        pass(held_, frames);
        held_.clear();
    }

    const FaultCounts& counts() const { return counts_; }

private:
    void pass(Octets frame, std::deque<Octets>& frames) {
        if (faults_.noise > 0)
            for (uint8_t& octet : frame)
                for (int bit = 0; bit < 8; ++bit)
                    if (random_.chance(faults_.noise)) {
                        ++counts_.noise;
                        octet ^= static_cast<uint8_t>(1 << bit);
                    }
        frames.push_back(std::move(frame));
    }

    // What else goes over a network: none of it is a datagram for the board's port.
    Octets other_traffic() {
        uint8_t data[64];
        for (uint8_t& octet : data) octet = static_cast<uint8_t>(random_.next());
        const Address from = {network_.board().ip ^ 2, 4000};
        Address to = network_.board();
        Station station = network_.station_of_board();
        switch (random_.next() % 6) {
            case 0:  // A runt, its check and all.
                return Octets(data, data + random_.next() % 60 + 1);
            case 1:  // To another port.
                to.port ^= 1;
                break;
            case 2:  // To another address of IP.
                to.ip ^= 4;
                break;
            case 3:  // To all, of another protocol.
                station.fill(0xff);
                break;
            case 4: {  // ARP for another address, its sender one that has never asked for the board.
                Octets frame = network_.ask();
                frame.resize(frame.size() - kCheck);
                frame[41] ^= 4;
                seal(frame);
                return frame;
            }
            default: {  // For the board, but damaged.
                Octets frame = network_.datagram_frame(from, to, station, data, sizeof data);
                frame[random_.next() % frame.size()] ^= 0x10;
                return frame;
            }
        }
        return network_.datagram_frame(from, to, station, data, sizeof data);
    }

    Faults faults_;
    FaultCounts counts_;
    SplitMix random_;
    Network& network_;
    Octets held_;
};
