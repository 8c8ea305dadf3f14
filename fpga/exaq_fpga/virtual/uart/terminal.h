// A pseudo-terminal as a serial port.

#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <termios.h>
#include <unistd.h>
#include <vector>

#include "stop.h"

// The terminal's slave is held open, so that hosts can come and go.
class Terminal {
public:
    explicit Terminal(Stop& stop) : stop_(stop) {
        master_ = posix_openpt(O_RDWR | O_NOCTTY);
        if (master_ >= 0 && !grantpt(master_) && !unlockpt(master_)) {
            name_ = ptsname(master_);
            slave_ = open(name_.c_str(), O_RDWR | O_NOCTTY);
        }
        if (slave_ < 0) {
            std::perror("no pseudo-terminal");
            std::exit(1);
        }
        termios settings;
        tcgetattr(slave_, &settings);
        cfmakeraw(&settings);
        tcsetattr(slave_, TCSANOW, &settings);
        fcntl(master_, F_SETFL, O_NONBLOCK);
    }

    const std::string& name() const { return name_; }

    // Appends to `octets` what the host has written, but keeps to a limit: a host that writes
    // for ever waits.
    void read(std::deque<uint8_t>& octets) {
        uint8_t buffer[4096];
        while (octets.size() < kLimit) {
            const ssize_t count = ::read(master_, buffer, sizeof buffer);
            if (count <= 0) return;
            octets.insert(octets.end(), buffer, buffer + count);
        }
    }

    // Waits until the host writes; at most `milliseconds`, where that is not negative.
    void wait(int milliseconds) { stop_.await(master_, POLLIN, milliseconds); }

    // Hands all of `octets` to the host; where it does not read, waits until it does, and takes
    // meanwhile what it writes.
    void write(std::vector<uint8_t>& octets, std::deque<uint8_t>& inbox) {
        size_t done = 0;
        while (done < octets.size() && !Stop::seen()) {
            const ssize_t count = ::write(master_, octets.data() + done, octets.size() - done);
            if (count > 0) {
                done += static_cast<size_t>(count);
                continue;
            }
            // Not every system says when a terminal that was full takes octets again.
            stop_.await(master_, inbox.size() < kLimit ? POLLIN | POLLOUT : POLLOUT, kRetry);
            read(inbox);
        }
        octets.clear();
    }

private:
    static constexpr size_t kLimit = 1 << 16;
    static constexpr int kRetry = 10;

    Stop& stop_;
    int master_ = -1, slave_ = -1;
    std::string name_;
};
