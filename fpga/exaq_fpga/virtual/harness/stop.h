// The signal to end.

#pragma once

#include <csignal>
#include <poll.h>
#include <unistd.h>

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

    // Waits for `events` of a descriptor; at most `milliseconds`, where that is not negative. A
    // signal that comes just before the poll does not end it, so none takes longer than a moment.
    void await(int descriptor, int events, int milliseconds) {
        constexpr int kMoment = 200;
        do {
            const int slice = milliseconds < 0 || milliseconds > kMoment ? kMoment : milliseconds;
            pollfd both[] = {{descriptor, static_cast<short>(events), 0}, {STDIN_FILENO, POLLIN, 0}};
            const int ready = poll(both, 2, slice);
            if (ready > 0) {
                see(both[1]);
                if (both[0].revents) return;
            }
            if (milliseconds >= 0) milliseconds -= slice;
        } while (milliseconds != 0 && !seen());
    }

    static bool seen() { return raised(); }

private:
    static volatile std::sig_atomic_t& raised() {
        static volatile std::sig_atomic_t flag = 0;
        return flag;
    }
};
