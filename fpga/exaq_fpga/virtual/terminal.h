// A pseudo-terminal as a serial port, and the signal to end.

#pragma once

#include <cerrno>
#include <csignal>
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

// The process is asked to end by SIGINT, SIGTERM, or the end of its standard input: the process
// that started it holds the other end, and takes it along when it dies.
class Stop {
public:
    Stop() {
        struct sigaction action = {};
        action.sa_handler = [](int) { raised() = 1; };
        // No restart: a poll that waits comes back.
        sigaction(SIGINT, &action, nullptr);
        sigaction(SIGTERM, &action, nullptr);
        std::signal(SIGPIPE, SIG_IGN);
    }

    // Looks at the standard input as well.
    bool asked() {
        pollfd input = {STDIN_FILENO, POLLIN, 0};
        if (poll(&input, 1, 0) > 0) see(input);
        return raised();
    }

    // What poll() told of the standard input.
    void see(const pollfd& input) {
        char ignored[256];
        if (input.revents && read(STDIN_FILENO, ignored, sizeof ignored) <= 0) raised() = 1;
    }

    static bool seen() { return raised(); }

private:
    static volatile std::sig_atomic_t& raised() {
        static volatile std::sig_atomic_t flag = 0;
        return flag;
    }
};

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
    void wait(int milliseconds) { await(POLLIN, milliseconds); }

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
            await(inbox.size() < kLimit ? POLLIN | POLLOUT : POLLOUT, kRetry);
            read(inbox);
        }
        octets.clear();
    }

private:
    static constexpr size_t kLimit = 1 << 16;
    static constexpr int kRetry = 10;

    // A signal that comes just before the poll does not end it, so none takes longer than a
    // moment.
    void await(int events, int milliseconds) {
        constexpr int kMoment = 200;
        do {
            const int slice = milliseconds < 0 || milliseconds > kMoment ? kMoment : milliseconds;
            pollfd both[] = {{master_, static_cast<short>(events), 0}, {STDIN_FILENO, POLLIN, 0}};
            const int ready = poll(both, 2, slice);
            if (ready > 0) {
                stop_.see(both[1]);
                if (both[0].revents) return;
            }
            if (milliseconds >= 0) milliseconds -= slice;
        } while (milliseconds != 0 && !Stop::seen());
    }

    Stop& stop_;
    int master_ = -1, slave_ = -1;
    std::string name_;
};
