// Runs the mutants of a unit through scenarios and says how each differs from the unit as it is.
//
//   bench SCENARIOS FIRST LAST RECORD
//
// Mutant 0 is the unit itself. It runs first, and what it gives goes to the file RECORD. Each mutant
// from FIRST to LAST then runs in a process of its own, since some mutants never settle, which ends
// Verilator's model. A scenario is a list of segments, each of which begins with a reset and ends
// when all is in and out, or in a given cycle. mutants_bench.py writes scenarios and reads the rest.
//
// All ports are channels of valid, ready and payload. Dice are thrown in every cycle for every
// channel, so a mutant meets the same pauses in the same cycles as the unit did.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vmutants.h"
#include "verilated.h"

namespace {

constexpr int kInputs = MUTANTS_INPUTS, kOutputs = MUTANTS_OUTPUTS;
constexpr int kChannels = kInputs + kOutputs;
constexpr int kInWords = MUTANTS_IN_WORDS, kOutWords = MUTANTS_OUT_WORDS;
// After the last beat the unit is watched a little longer: nothing may come any more.
constexpr uint32_t kQuiet = 64;
constexpr uint32_t kLongest = 1u << 20;

// A beat to send, so many cycles after each channel moved so many beats of this segment.
struct Beat {
    uint32_t payload[kInWords];
    uint32_t after[kChannels];
    uint32_t delay;
};

struct Pauses {
    uint32_t chance;   // of a pause in a cycle, in units of 2^-32
    uint32_t burst;    // chance that a long one begins
    uint32_t longest;  // cycles of a long one
    uint32_t closed;   // cycles from the segment's beginning in which nothing moves
};

using Words = std::vector<uint32_t>;

struct Segment {
    uint32_t end;    // cycle in which it ends, or 0: when all is done
    uint32_t reset;  // cycles of reset before it
    Pauses pauses[kChannels];
    std::vector<Beat> beats[kInputs];
    // What the unit as it is did.
    std::vector<uint8_t> shown[2];  // each channel's ready or valid; what moved
    Words given[kOutputs];
    uint64_t count(int output) const { return given[output].size() / kOutWords; }
};

struct Scenario {
    uint32_t seed;
    std::vector<Segment> segments;
};

enum Reason : uint32_t { kNone, kPayload, kStray, kDropped, kChanged, kHang, kWaits };

// What is told of a mutant; its process writes it to memory that it shares with this one.
struct Verdict {
    uint32_t scenario, segment, cycle;  // where it is, or was killed
    uint32_t reason, channel;
    uint32_t done;
    // Whether something moved, and was shown, in other cycles than in the unit, in every scenario.
    bool moved[MUTANTS_MOST_SCENARIOS], shown[MUTANTS_MOST_SCENARIOS];
};

struct SplitMix {
    uint64_t state;

    uint32_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return static_cast<uint32_t>((z ^ (z >> 31)) >> 32);
    }
};

std::vector<Scenario> scenarios;

class Bench {
  public:
    Bench(uint32_t mutant, Verdict& verdict) : verdict(verdict), golden(mutant == 0) {
        top.mutsel = mutant;
    }

    // Whether the mutant gave in every segment what the unit gave; stops at the first that differs.
    bool run() {
        for (verdict.scenario = 0; verdict.scenario < scenarios.size(); ++verdict.scenario) {
            Scenario& scenario = scenarios[verdict.scenario];
            verdict.segment = 0;
            for (Segment& segment : scenario.segments) {
                // Whatever came before: a mutant may have taken other cycles for it.
                dice.state = uint64_t{scenario.seed} << 32 | verdict.segment;
                if (!stream(segment)) return false;
                ++verdict.segment;
            }
        }
        return true;
    }

  private:
    bool stream(Segment& segment) {
        reset(segment);
        uint32_t moved[kChannels] = {}, waiting[kInputs] = {}, burst[kChannels] = {};
        bool offering[kInputs] = {}, held[kOutputs] = {};
        uint32_t kept[kOutputs][kOutWords];
        uint32_t quiet = 0, shut = 0;
        for (const Pauses& pauses : segment.pauses) shut = std::max(shut, pauses.closed);
        // A mutant may take longer than the unit did, but not for ever.
        const uint64_t limit = golden ? kLongest : 2 * segment.shown[0].size() + 4096;
        for (uint32_t cycle = 0;; ++cycle) {
            if (segment.end && cycle == segment.end) return true;
            verdict.cycle = cycle;
            bool open[kChannels];
            for (int channel = 0; channel < kChannels; ++channel) {
                const Pauses& pauses = segment.pauses[channel];
                if (burst[channel])
                    --burst[channel];
                else if (pauses.longest && dice.next() < pauses.burst)
                    burst[channel] = 1 + dice.next() % pauses.longest;
                const bool paused = pauses.chance && dice.next() < pauses.chance;
                open[channel] = !paused && !burst[channel] && cycle >= pauses.closed;
            }
            uint32_t valid = 0, ready = 0;
            for (int input = 0; input < kInputs; ++input) {
                uint32_t* port = &top.in_payload[input * kInWords];
                const auto& beats = segment.beats[input];
                if (!offering[input] && open[input] && moved[input] < beats.size()) {
                    const Beat& beat = beats[moved[input]];
                    bool may = true;
                    for (int channel = 0; channel < kChannels; ++channel)
                        may &= moved[channel] >= beat.after[channel];
                    offering[input] = may && waiting[input]++ >= beat.delay;
                }
                if (offering[input]) {
                    valid |= 1u << input;
                    std::memcpy(port, beats[moved[input]].payload, sizeof(uint32_t) * kInWords);
                } else {
                    for (int word = 0; word < kInWords; ++word) port[word] = dice.next();
                }
            }
            for (int output = 0; output < kOutputs; ++output)
                ready |= open[kInputs + output] << output;
            top.in_valid = valid;
            top.out_ready = ready;
            top.aclk = 0;
            top.eval();
            const uint32_t taken = valid & top.in_ready, given = top.out_valid & ready;
            watch(segment, cycle, top.in_ready | top.out_valid << kInputs,
                  taken | given << kInputs);
            for (int output = 0; output < kOutputs; ++output) {
                const uint32_t* port = &top.out_payload[output * kOutWords];
                const bool shown = top.out_valid >> output & 1;
                // Valid may not wait for ready: what the unit shows a closed sink, a mutant must.
                const uint32_t closed = segment.pauses[kInputs + output].closed;
                if (!golden && cycle + 1 == closed && !shown &&
                    segment.shown[0][cycle] >> (kInputs + output) & 1)
                    return killed(kWaits, output);
                if (held[output] && !shown) return killed(kDropped, output);
                if (held[output] && std::memcmp(kept[output], port, sizeof kept[output]))
                    return killed(kChanged, output);
                held[output] = shown && !(ready >> output & 1);
                std::memcpy(kept[output], port, sizeof kept[output]);
                if (!(given >> output & 1)) continue;
                const uint32_t place = moved[kInputs + output]++;
                if (golden) {
                    segment.given[output].insert(segment.given[output].end(), port,
                                                 port + kOutWords);
                } else if (place >= segment.count(output)) {
                    // Where a reset ended the segment, the unit might have given it a cycle later.
                    if (!segment.end) return killed(kStray, output);
                } else if (std::memcmp(&segment.given[output][place * kOutWords], port,
                                       sizeof kept[output])) {
                    return killed(kPayload, output);
                }
            }
            bool done = cycle >= shut;
            for (int input = 0; input < kInputs; ++input) {
                if (taken >> input & 1) {
                    offering[input] = false;
                    waiting[input] = 0;
                    ++moved[input];
                }
                done &= moved[input] == segment.beats[input].size();
            }
            for (int output = 0; output < kOutputs && !golden; ++output)
                done &= moved[kInputs + output] == segment.count(output);
            top.aclk = 1;
            top.eval();
            if (taken || given || !done)
                quiet = 0;
            else if (++quiet == (golden ? MUTANTS_GOLDEN_QUIET : kQuiet) && !segment.end)
                return true;
            if (cycle == limit) return killed(kHang, 0);
        }
    }

    void reset(const Segment& segment) {
        top.aresetn = 0;
        top.in_valid = top.out_ready = 0;
        for (uint32_t cycle = 0; cycle < segment.reset; ++cycle) {
            for (int word = 0; word < kInputs * kInWords; ++word)
                top.in_payload[word] = dice.next();
            top.aclk = 0;
            top.eval();
            top.aclk = 1;
            top.eval();
        }
        top.aresetn = 1;
    }

    // Compares each handshake with that of the unit in the same cycle.
    void watch(Segment& segment, uint32_t cycle, uint32_t shown, uint32_t moved) {
        const uint32_t now[] = {shown, moved};
        bool* other[] = {verdict.shown, verdict.moved};
        for (int which = 0; which < 2; ++which) {
            auto& kept = segment.shown[which];
            if (golden)
                kept.push_back(static_cast<uint8_t>(now[which]));
            else if (cycle < kept.size() && kept[cycle] != now[which])
                other[which][verdict.scenario] = true;
        }
    }

    bool killed(Reason reason, int channel) {
        verdict.reason = reason;
        verdict.channel = channel;
        return false;
    }

    Verdict& verdict;
    const bool golden;
    SplitMix dice{0};
    VerilatedContext context;
    Vmutants top{&context, "TOP"};
};

void need(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "error: %s\n", what);
    std::exit(2);
}

uint32_t word(FILE* file) {
    uint32_t value;
    need(std::fread(&value, sizeof value, 1, file) == 1, "the scenarios end too early");
    return value;
}

void read(const char* path) {
    FILE* file = std::fopen(path, "rb");
    need(file, "no scenarios");
    scenarios.resize(word(file));
    need(scenarios.size() <= MUTANTS_MOST_SCENARIOS, "too many scenarios");
    for (Scenario& scenario : scenarios) {
        scenario.seed = word(file);
        scenario.segments.resize(word(file));
        for (Segment& segment : scenario.segments) {
            segment.end = word(file);
            segment.reset = word(file);
            need(std::fread(segment.pauses, sizeof segment.pauses, 1, file) == 1, "no pauses");
            for (auto& beats : segment.beats) {
                beats.resize(word(file));
                need(beats.empty() ||
                         std::fread(beats.data(), sizeof(Beat) * beats.size(), 1, file) == 1,
                     "no beats");
            }
        }
    }
    std::fclose(file);
}

void record(const char* path) {
    FILE* file = std::fopen(path, "wb");
    need(file, "the record cannot be written");
    for (const Scenario& scenario : scenarios)
        for (const Segment& segment : scenario.segments) {
            const uint32_t cycles = segment.shown[0].size();
            std::fwrite(&cycles, sizeof cycles, 1, file);
            for (const Words& given : segment.given) {
                const uint32_t count = given.size();
                std::fwrite(&count, sizeof count, 1, file);
                std::fwrite(given.data(), sizeof(uint32_t), count, file);
            }
        }
    need(std::fclose(file) == 0, "the record cannot be written");
}

}  // namespace

int main(int count, char** arguments) {
    need(count == 5, "SCENARIOS FIRST LAST RECORD are wanted");
    read(arguments[1]);
    {
        Verdict verdict{};
        Bench unit(0, verdict);
        if (!unit.run()) {
            std::fprintf(stderr, "error: the unit itself fails: scenario %u segment %u cycle %u (%u)\n",
                         verdict.scenario, verdict.segment, verdict.cycle, verdict.reason);
            return 2;
        }
    }
    record(arguments[4]);
    auto* verdict = static_cast<Verdict*>(mmap(nullptr, sizeof(Verdict), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    need(verdict != MAP_FAILED, "no memory");
    for (uint32_t mutant = std::atoi(arguments[2]); mutant <= std::strtoul(arguments[3], nullptr, 10);
         ++mutant) {
        *verdict = {};
        std::fflush(stdout);
        const pid_t child = fork();
        need(child >= 0, "no process");
        if (child == 0) {
            // Verilator says on stderr what it ends for.
            need(std::freopen("/dev/null", "w", stderr), "no /dev/null");
            Bench bench(mutant, *verdict);
            bench.run();
            verdict->done = 1;
            _exit(0);
        }
        int status;
        need(waitpid(child, &status, 0) == child, "a process is lost");
        std::printf("%u %u %u %u %u %u %u", mutant, verdict->done, verdict->reason, verdict->channel,
                    verdict->scenario, verdict->segment, verdict->cycle);
        for (size_t i = 0; i < scenarios.size(); ++i)
            std::printf(" %d%d", verdict->moved[i], verdict->shown[i]);
        std::printf("\n");
    }
    return 0;
}
