// The wires of a UART, octet by octet and bit by bit, and what disturbs them.
//
// A line at rest is 1. An octet is a 0, its bits from the lowest, and a 1: ten bits.

#pragma once

#include <cstdint>
#include <vector>

#include "random.h"

constexpr int kOctetBits = 10;

// Probabilities: of each bit to be flipped; of each octet to be dropped, doubled, preceded by a
// break, preceded by octets that nobody sent.
struct Faults {
    double noise = 0, drop = 0, twice = 0, breaks = 0, garbage = 0;
};

struct FaultCounts {
    uint64_t noise = 0, drop = 0, twice = 0, breaks = 0, garbage = 0;
};

// Octets to the bits that a disturbed line carries.
class Line {
public:
    Line(const Faults& faults, uint64_t seed) : faults_(faults), random_{seed} {}

    // Appends to `bits` a break that the sender itself makes.
    static void carry_break(std::vector<uint8_t>& bits) {
        bits.insert(bits.end(), kBreakBits, 0);
        bits.insert(bits.end(), kRestBits, 1);
    }

    // Appends to `bits`.
    void carry(uint8_t octet, std::vector<uint8_t>& bits) {
        if (random_.chance(faults_.garbage)) {
            ++counts_.garbage;
            for (uint64_t more = random_.next() % kBurst + 1; more; --more)
                frame(static_cast<uint8_t>(random_.next()), bits);
        }
        if (random_.chance(faults_.breaks)) {
            ++counts_.breaks;
            carry_break(bits);
        }
        if (random_.chance(faults_.drop)) {
            ++counts_.drop;
            return;
        }
        frame(octet, bits);
        if (random_.chance(faults_.twice)) {
            ++counts_.twice;
            frame(octet, bits);
        }
    }

    const FaultCounts& counts() const { return counts_; }

private:
    static constexpr uint64_t kBurst = 16;
    static constexpr int kBreakBits = 12, kRestBits = 2;

    void frame(uint8_t octet, std::vector<uint8_t>& bits) {
        unsigned levels = octet << 1 | 1u << (kOctetBits - 1);
        for (int i = 0; i < kOctetBits; ++i, levels >>= 1) {
            const bool flipped = random_.chance(faults_.noise);
            counts_.noise += flipped;
            bits.push_back((levels & 1) ^ flipped);
        }
    }

    Faults faults_;
    FaultCounts counts_;
    SplitMix random_;
};

// Drives a pin with the bits of a line, each for `Divisor` cycles.
template <int Divisor>
class Driver {
public:
    explicit Driver(Line& line) : line_(line) {}

    bool resting() const { return left_ == 0; }

    // Only where the line rests.
    void send(uint8_t octet) {
        bits_.clear();
        next_ = 0;
        line_.carry(octet, bits_);
        left_ = static_cast<int>(bits_.size()) * Divisor;
        phase_ = 0;
    }

    // Level in the cycle that begins; call once a cycle.
    uint8_t step() {
        if (left_ == 0) return 1;
        --left_;
        const uint8_t level = bits_[next_];
        if (++phase_ == Divisor) {
            phase_ = 0;
            ++next_;
        }
        return level;
    }

private:
    Line& line_;
    std::vector<uint8_t> bits_;
    size_t next_ = 0;
    int left_ = 0, phase_ = 0;
};

// Reads the octets that a pin carries, each bit in its middle.
template <int Divisor>
class Sampler {
public:
    bool resting() const { return bit_ < 0; }

    // The level in this cycle; whether it is that of an octet's end.
    bool step(uint8_t level) {
        if (bit_ < 0) {
            if (level) {
                bit_ = kIdle;
            } else if (bit_ == kIdle) {
                bit_ = 0;
                wait_ = Divisor / 2;
                levels_ = 0;
            }
            return false;
        }
        if (--wait_ > 0) return false;
        levels_ |= static_cast<unsigned>(level) << bit_;
        wait_ = Divisor;
        if (++bit_ < kOctetBits) return false;
        bit_ = level ? kIdle : kBroken;
        return true;
    }

    // Of the octet that ended: whether its first bit was 0 and its last 1.
    bool whole() const { return (levels_ & 1) == 0 && levels_ >> (kOctetBits - 1); }
    uint8_t octet() const { return static_cast<uint8_t>(levels_ >> 1); }

private:
    // After an octet without its 1 at the end the line has to come to rest first.
    static constexpr int kIdle = -1, kBroken = -2;

    unsigned levels_ = 0;
    int bit_ = kIdle, wait_ = 0;
};

// What a computer's serial port makes of the bits of a disturbed line. An octet without its 1 at
// the end, a break as well, reads as 0.
class SerialPort {
public:
    // Appends to `octets`.
    void hear(const std::vector<uint8_t>& bits, std::vector<uint8_t>& octets) {
        for (const uint8_t bit : bits) hear(bit, octets);
    }

    // A line at rest lets any octet under way end.
    void rest(std::vector<uint8_t>& octets) {
        for (int i = 0; i < kOctetBits && place_ != kIdle; ++i) hear(1, octets);
    }

private:
    static constexpr int kIdle = -1, kBroken = -2, kStop = 8;

    void hear(uint8_t bit, std::vector<uint8_t>& octets) {
        if (place_ == kBroken) {
            if (bit) place_ = kIdle;
        } else if (place_ == kIdle) {
            if (!bit) place_ = octet_ = 0;
        } else if (place_ < kStop) {
            octet_ |= bit << place_++;
        } else {
            octets.push_back(bit ? static_cast<uint8_t>(octet_) : 0);
            place_ = bit ? kIdle : kBroken;
        }
    }

    int place_ = kIdle, octet_ = 0;
};
