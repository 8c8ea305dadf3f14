// Streams heads of attention through the verilated AXI top: the caller hands over all rows of q, keys
// and values at once and steps a number of cycles at a time; no beat crosses the language border.
//
// The build defines EXAQ_Q_BYTES, EXAQ_KEY_BYTES, EXAQ_VALUE_BYTES and EXAQ_OUTPUT_BYTES, what a
// beat of each stream holds, EXAQ_ROW_BEATS, beats of a row of outputs, and EXAQ_TRACE. Ports are
// copied as bytes, whatever integer or word array the simulator gives them.

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "Vexaq.h"
#include "clocked.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ports are copied as little-endian bytes");

namespace {

// After the last row the unit is watched a little longer: nothing may come any more.
constexpr int64_t kQuietCycles = 64;

enum Input { kQ, kKeys, kValues, kInputs };

}  // namespace

extern "C" {

enum State : int32_t { kRunning, kDone, kHang, kFault };

enum Fault : int32_t {
    kNone,
    kValidDropped,
    kPayloadChanged,
    kStrayBeat,
    kLastMissing,
    kLastEarly,
    kErrorBeforeLast,
};

// Beats of a stream that goes in.
struct Source {
    const uint8_t* beats;  // [count][bytes of the stream]
    const uint8_t* flags;  // [count], bit 0 is tlast, bit 1 tuser
    int64_t* taken;        // [count], the cycle in which each went in
    int64_t count;
};

struct Job {
    Source sources[kInputs];      // q, keys, values
    const int64_t* due[2];        // [rows], keys and values that must be in before a row comes out
    uint8_t* outputs;             // [rows][EXAQ_ROW_BEATS * EXAQ_OUTPUT_BYTES]
    uint8_t* row_errors;          // [rows]
    int64_t* stamps;              // [2][rows], cycles of the first beat out and of the last one
    uint64_t seed;
    uint64_t stall;               // a side pauses where a random 64-bit number is below this
    int64_t idle_limit;           // cycles without a beat that are a hang
};

struct Report {
    int64_t cycle;                // since reset
    int64_t taken[kInputs];       // beats in
    int64_t rows_out;             // finished
    int32_t state, fault;
    uint32_t waiting;             // bit for each input: a beat is offered
};

struct Bench : Clocked<Vexaq> {
    Bench(const Job& what, const char* waves)
        : Clocked(waves, what.seed, what.stall), job(what) {
        for (const Pins& side : pins) *side.valid = 0;
        top.m_axis_tready = 0;
        reset();
    }

    void run(int64_t cycles) {
        for (; cycles > 0 && report.state == kRunning; --cycles) step();
    }

    Report report{};

  private:
    struct Pins {
        void* data;
        int64_t bytes;
        CData *last, *user, *valid, *ready;
    };

    void step() {
        for (int64_t side = 0; side < kInputs; ++side) {
            if (!offered(side) && report.taken[side] < job.sources[side].count && !paused())
                offer(side);
        }
        top.m_axis_tready = !paused();
        settle();
        const bool emitted = top.m_axis_tvalid && top.m_axis_tready;
        bool accepted[kInputs] = {}, moved = emitted;
        hold_rules();
        for (int64_t side = 0; side < kInputs; ++side) {
            if (!offered(side) || !*pins[side].ready) continue;
            accepted[side] = true;
            job.sources[side].taken[report.taken[side]++] = report.cycle;
            moved = true;
        }
        if (emitted && report.state == kRunning) emit();
        tick();
        for (int64_t side = 0; side < kInputs; ++side)
            if (accepted[side]) *pins[side].valid = 0;
        ++report.cycle;
        idle = moved ? 0 : idle + 1;
        if (report.state != kRunning) return;
        if (done()) {
            if (idle == kQuietCycles) report.state = kDone;
        } else if (idle == job.idle_limit) {
            report.state = kHang;
            for (int64_t side = 0; side < kInputs; ++side)
                report.waiting |= static_cast<uint32_t>(offered(side)) << side;
        }
    }

    bool done() const {
        for (int64_t side = 0; side < kInputs; ++side)
            if (report.taken[side] < job.sources[side].count) return false;
        return report.rows_out == job.sources[kQ].count;
    }

    void fault(Fault what) {
        if (report.state == kRunning) {
            report.state = kFault;
            report.fault = what;
        }
    }

    bool offered(int64_t side) const { return *pins[side].valid; }

    // Puts the next beat on an input port, where it stays until it is accepted.
    void offer(int64_t side) {
        const Source& source = job.sources[side];
        const Pins& to = pins[side];
        const int64_t beat = report.taken[side];
        std::memcpy(to.data, source.beats + beat * to.bytes, to.bytes);
        *to.last = source.flags[beat] & 1;
        if (to.user) *to.user = source.flags[beat] >> 1 & 1;
        *to.valid = 1;
    }

    // A row may only come out once it, its keys and its values are in.
    bool begun(int64_t row) const {
        return row < report.taken[kQ] && job.due[0][row] <= report.taken[kKeys] &&
               job.due[1][row] <= report.taken[kValues];
    }

    void emit() {
        const int64_t row = report.rows_out;
        if (!begun(row)) return fault(kStrayBeat);
        const bool last = out_beat + 1 == EXAQ_ROW_BEATS;
        if (!top.m_axis_tlast != !last) return fault(last ? kLastMissing : kLastEarly);
        if (!last && top.m_axis_tuser) return fault(kErrorBeforeLast);
        uint8_t* outputs = job.outputs + (row * EXAQ_ROW_BEATS + out_beat) * EXAQ_OUTPUT_BYTES;
        std::memcpy(outputs, &top.m_axis_tdata, EXAQ_OUTPUT_BYTES);
        const int64_t rows = job.sources[kQ].count;
        if (out_beat == 0) job.stamps[row] = report.cycle;
        ++out_beat;
        if (last) {
            job.stamps[rows + row] = report.cycle;
            job.row_errors[row] = top.m_axis_tuser;
            out_beat = 0;
            ++report.rows_out;
        }
    }

    // AXI4-Stream: once valid, always valid with the same payload, until the beat is taken.
    void hold_rules() {
        if (held) {
            if (!top.m_axis_tvalid)
                fault(kValidDropped);
            else if (std::memcmp(&held_data, &top.m_axis_tdata, sizeof held_data) ||
                     held_last != top.m_axis_tlast || held_user != top.m_axis_tuser)
                fault(kPayloadChanged);
        }
        held = top.m_axis_tvalid && !top.m_axis_tready;
        if (held) {
            std::memcpy(&held_data, &top.m_axis_tdata, sizeof held_data);
            held_last = top.m_axis_tlast;
            held_user = top.m_axis_tuser;
        }
    }

    Job job;
    const Pins pins[kInputs] = {
        {&top.s_axis_q_tdata, EXAQ_Q_BYTES, &top.s_axis_q_tlast, &top.s_axis_q_tuser,
         &top.s_axis_q_tvalid, &top.s_axis_q_tready},
        {&top.s_axis_k_tdata, EXAQ_KEY_BYTES, &top.s_axis_k_tlast, nullptr, &top.s_axis_k_tvalid,
         &top.s_axis_k_tready},
        {&top.s_axis_v_tdata, EXAQ_VALUE_BYTES, &top.s_axis_v_tlast, nullptr,
         &top.s_axis_v_tvalid, &top.s_axis_v_tready},
    };
    int64_t out_beat = 0, idle = 0;
    bool held = false;
    std::remove_reference_t<decltype(top.m_axis_tdata)> held_data;
    CData held_last = 0, held_user = 0;
};

// Resets the unit and makes it ready to stream the job, whose arrays must outlive it.
EXPORTED Bench* exaq_open(const Job* job, const char* waves) { return new Bench(*job, waves); }

// Runs up to `cycles` more cycles and reports; stops early where the state is not kRunning.
EXPORTED void exaq_run(Bench* bench, int64_t cycles, Report* report) {
    bench->run(cycles);
    *report = bench->report;
}

EXPORTED void exaq_close(Bench* bench) { delete bench; }

}  // extern "C"
