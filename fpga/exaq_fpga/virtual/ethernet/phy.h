// An Ethernet PHY with RGMII at 100 Mbit/s.

#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "network.h"
#include "random.h"

// Cycles of the board's clock to a period of RGMII's.
constexpr int kPeriod = EXAQ_PERIOD;
constexpr uint64_t kOctetCycles = 2 * kPeriod;
constexpr size_t kPreamble = 8, kGap = 12;

// The pins from the PHY to the board. Its clock is faster than the board's by `kFast`, so all phases
// between the two come by. Data stand from 2 ns after the clock's rising edge to 16 ns after it;
// around that stands anything.
class Receiving {
public:
    bool resting() const { return nibbles_.empty(); }

    void send(const Octets& frame) {
        for (size_t i = 1; i < kPreamble; ++i) put(1, 0x55);
        put(1, 0xd5);
        for (const uint8_t octet : frame) put(1, octet);
        for (size_t i = 0; i < kGap; ++i) put(0, 0);
    }

    // Half a cycle later.
    void step() {
        time_ += 0.5;
        if (time_ >= kLength) {
            time_ -= kLength;
            if (!nibbles_.empty()) {
                now_ = nibbles_.front();
                nibbles_.pop_front();
            }
        }
        clock = time_ < kLength / 2;
        const bool valid = time_ >= kLength * 0.05 && time_ <= kLength * 0.4;
        const uint8_t pins = valid || nibbles_.empty() ? now_ : static_cast<uint8_t>(random_.next());
        data = pins & 15;
        control = pins >> 4 & 1;
    }

    uint8_t clock = 0, control = 0, data = 0;

private:
    static constexpr double kFast = 100e-6, kLength = kPeriod * (1 - kFast);

    void put(int control, uint8_t octet) {
        nibbles_.push_back(static_cast<uint8_t>(control << 4 | (octet & 15)));
        nibbles_.push_back(static_cast<uint8_t>(control << 4 | octet >> 4));
    }

    std::deque<uint8_t> nibbles_;
    uint8_t now_ = 0;
    double time_ = 0.1;
    SplitMix random_{1};
};

// The pins from the board to the PHY, both edges of the clock with them.
class Transmitting {
public:
    bool resting() const { return !control_; }

    // The levels in this cycle; whether a frame has ended, which `frame` is then.
    bool step(uint8_t clock, uint8_t control, uint8_t data) {
        const bool rises = clock && !clock_, falls = !clock && clock_;
        clock_ = clock;
        ++since_;
        if (falls) wrong_ |= control != control_ || data != data_;
        if (!rises) return false;
        // TXC of 25 MHz at both: no period may be another.
        wrong_ |= started_ && since_ != kPeriod;
        started_ = true;
        since_ = 0;
        const bool ended = control_ && !control;
        if (control && !control_) nibbles_.clear();
        control_ = control;
        data_ = data;
        if (control) nibbles_.push_back(data);
        if (!ended) {
            gap_ += !control;
            return false;
        }
        whole_ = nibbles_.size() % 2 == 0 && nibbles_.size() / 2 > kPreamble && !wrong_;
        frame.clear();
        for (size_t i = 0; i + 1 < nibbles_.size(); i += 2)
            frame.push_back(static_cast<uint8_t>(nibbles_[i] | nibbles_[i + 1] << 4));
        for (size_t i = 0; whole_ && i < kPreamble; ++i)
            whole_ = frame[i] == (i + 1 < kPreamble ? 0x55 : 0xd5);
        if (whole_) frame.erase(frame.begin(), frame.begin() + kPreamble);
        // Two frames must be 12 octets apart.
        whole_ &= !framed_ || gap_ >= 2 * static_cast<int>(kGap);
        framed_ = true;
        gap_ = 1;
        wrong_ = false;
        return true;
    }

    // Of the frame that ended: whether preamble, edges and gap were right.
    bool whole() const { return whole_; }

    Octets frame;

private:
    std::vector<uint8_t> nibbles_;
    uint8_t clock_ = 0, control_ = 0, data_ = 0;
    int since_ = 0, gap_ = 0;
    bool started_ = false, framed_ = false, wrong_ = false, whole_ = false;
};

// The PHY's management registers, at address `kPhy`: it speaks 1000 Mbit/s until it has negotiated
// without offering them.
class Management {
public:
    // The levels in this cycle.
    void step(uint8_t reset, uint8_t clock, uint8_t data) {
        if (reset) {
            was_reset_ = true;
            slow_ = offers_none_ = false;
            ones_ = 0;
        }
        if (clock && !clock_ && !reset) shift(data);
        clock_ = clock;
    }

    // Whether its reset is over and it speaks 100 Mbit/s.
    bool ready() const { return was_reset_ && slow_; }

    // How often the link was taken down for another negotiation.
    uint64_t again() const { return again_; }

private:
    static constexpr unsigned kPhy = 19;

    void shift(uint8_t bit) {
        if (left_ == 0) {
            ones_ = bit ? ones_ + 1 : ones_;
            if (bit) return;
            left_ = ones_ >= 32 ? 31 : 0;
            ones_ = 0;
            word_ = 0;
            return;
        }
        word_ = word_ << 1 | bit;
        if (--left_) return;
        // Start and write, addresses, turnaround, data.
        if (word_ >> 28 != 5 || (word_ >> 23 & 31) != kPhy || (word_ >> 16 & 3) != 2) return;
        const unsigned number = word_ >> 18 & 31, value = word_ & 0xffff;
        if (number == 9) offers_none_ = !(value & 0x0300);
        if (number == 0 && (value & 0x1200) == 0x1200) {
            again_ += slow_;
            slow_ = offers_none_;
        }
    }

    uint64_t again_ = 0;
    uint32_t word_ = 0;
    int left_ = 0, ones_ = 0;
    uint8_t clock_ = 0;
    bool was_reset_ = false, offers_none_ = false, slow_ = false;
};
