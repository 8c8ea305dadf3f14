// Streams whole arrays through the verilated AXI top: the caller hands over all rows at once and
// steps a number of cycles at a time; no beat crosses the language border.
//
// The build defines EXAQ_LANES, EXAQ_LOGIT_BYTES, EXAQ_PROB_BYTES, EXAQ_MAX_ROW, EXAQ_MASKING,
// EXAQ_WINDOW_BITS, EXAQ_CONTEXTS, EXAQ_CODE_BITS, EXAQ_REFERENCE_BITS, EXAQ_ROW_BYTES and
// EXAQ_TRACE. A unit that gives codes has EXAQ_CODE_BITS, else 0; one whose beats of codes come with a
// reference, which leave before their row's end, has EXAQ_REFERENCE_BITS, else 0; one with row results has EXAQ_ROW_BYTES of them, else 0. A unit
// with several contexts has tid ports, one with any has the
// AXI4-Lite port of its registers. Ports are copied as bytes, whatever integer or word array the simulator gives them.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "Vexaq.h"
#include "clocked.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ports are copied as little-endian bytes");

namespace {

constexpr int64_t kLanes = EXAQ_LANES;
constexpr int64_t kMaxRow = EXAQ_MAX_ROW;
constexpr int64_t kMaskBits = EXAQ_MASKING ? kLanes : 0;
// After the last row the unit is watched a little longer: nothing may come any more.
constexpr int64_t kQuietCycles = 64;

constexpr int64_t stored(int64_t bytes) { return bytes == 3 ? 4 : bytes; }

// Elements as they lie in the arrays (1, 2 or 4 bytes) to and from the stream's whole bytes.
template <int64_t Bytes>
void pack(uint8_t* beat, const uint8_t* elements, int64_t count) {
    if constexpr (stored(Bytes) == Bytes) {
        std::memcpy(beat, elements, count * Bytes);
    } else {
        for (int64_t i = 0; i < count; ++i)
            std::memcpy(beat + i * Bytes, elements + i * stored(Bytes), Bytes);
    }
}

template <int64_t Bytes>
void unpack(uint8_t* elements, const uint8_t* beat, int64_t count) {
    if constexpr (stored(Bytes) == Bytes) {
        std::memcpy(elements, beat, count * Bytes);
    } else {
        for (int64_t i = 0; i < count; ++i)
            std::memcpy(elements + i * stored(Bytes), beat + i * Bytes, Bytes);
    }
}

// A tkeep of `Bytes` bits with the lowest `ones` set.
template <int64_t Bytes>
struct Keep {
    static constexpr int64_t kSize = (Bytes + 7) / 8;
    uint8_t bits[kSize + 8] = {};

    void present(int64_t ones) {
        std::memset(bits, 0, kSize);
        std::memset(bits, 0xff, ones / 8);
        if (ones % 8) bits[ones / 8] = static_cast<uint8_t>((1 << ones % 8) - 1);
    }
};

// A port of `Width` bits, zeros but for what is put there.
template <int64_t Width>
struct Bits {
    uint8_t octets[(Width + 7) / 8] = {};

    void put(int64_t place, int64_t width, uint64_t value) {
        for (int64_t i = 0; i < width; ++i)
            octets[(place + i) / 8] |= static_cast<uint8_t>((value >> i & 1) << (place + i) % 8);
    }
};
// Codes lie packed in a beat, and each in a byte of its own in the array.
template <int64_t Bits>
void unpack_codes(uint8_t* elements, const uint8_t* beat, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        const int64_t first = i * Bits;
        const uint32_t window = beat[first / 8] | beat[(first + Bits - 1) / 8] << 8;
        const bool split = first / 8 != (first + Bits - 1) / 8;
        elements[i] = (split ? window : beat[first / 8]) >> first % 8 & ((1 << Bits) - 1);
    }
}

// What a beat of the output holds: its bytes, and how many of them some lanes take up.
#if EXAQ_CODE_BITS
constexpr int64_t kElementBytes = 1;
constexpr int64_t kOutBytes = (kLanes * EXAQ_CODE_BITS + 7) / 8;
constexpr int64_t out_bytes(int64_t lanes) { return (lanes * EXAQ_CODE_BITS + 7) / 8; }
#else
constexpr int64_t kElementBytes = EXAQ_PROB_BYTES;
constexpr int64_t kOutBytes = kLanes * EXAQ_PROB_BYTES;
constexpr int64_t out_bytes(int64_t lanes) { return lanes * EXAQ_PROB_BYTES; }
#endif

int64_t beats_of(int64_t elements) { return (elements + kLanes - 1) / kLanes; }

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
    kWrongKeep,
    kErrorBeforeLast,
    kAbsentNotZero,
    kWrongContext,
    kStrayAnswer,
    kAnswerDropped,
    kErrorAnswer,
    kWrongLive,
    kRowValidDropped,
    kRowPayloadChanged,
    kStrayRow,
    kRowWrongContext,
    kRefused,
};

enum Kind : uint32_t { kWrite, kWait };

// What the registers are asked, one after the other. A write writes `word` to `address`. A wait
// reads `address` until a bit of `word` is set, and takes it for a refusal where one of `bad` is.
struct Access {
    uint32_t kind, address, word, bad;
};

struct Job {
    const uint8_t* logits;        // [rows][width], 1, 2 or 4 bytes an element
    const uint8_t* live;          // [rows][width], 1 = live, or null: all are
    const int32_t* lengths;       // [rows], each in 1..width
    const int32_t* contexts;      // [rows], or null where the unit has none
    const int32_t* windows;       // [rows][2], start and stop, or null where the unit has none
    const Access* accesses;       // [access_count], all done before the first row
    const uint8_t* taking_part;   // [rows][width], 1 = live whatever says so, or null: all are
    const uint8_t* null_beats;    // [rows], 1 = a beat of no elements ends the row, or null: none
    uint8_t* elements;            // [rows][width], zeroed by the caller: probabilities or codes
    int32_t* references;          // [rows][beats of width], or null where codes come without
    uint8_t* row_errors;          // [rows], with the elements; untouched where codes leave
    uint8_t* results;             // [rows][EXAQ_ROW_BYTES]
    uint8_t* result_errors;       // [rows]
    uint8_t* lost;                // [rows], 1 = a reset found the row inside; zeroed by the caller
    int64_t* stamps;              // [5][rows]: first in, last in, first out, last out, results
    int64_t rows, width, access_count;
    uint64_t seed;
    uint64_t stall;               // a side or channel pauses where a random 64-bit number is below this
    uint64_t reset;               // before a cycle the unit is reset where one is below this
    int64_t idle_limit;           // cycles without a beat or a finished access that are a hang
};

struct Report {
    int64_t cycle;                // since reset
    int64_t rows_in, rows_out;    // finished
    int64_t results;              // rows whose results were taken
    int64_t beats_in, beats_out;
    int64_t accesses;             // finished
    int64_t load_cycles;          // between the ends of the first access and the last
    int64_t resets;               // behind the first one
    int32_t state, fault;
    uint32_t status;              // the last word that a wait has read
};

struct Bench : Clocked<Vexaq> {
    Bench(const Job& what, const char* waves)
        : Clocked(waves, what.seed, what.stall), job(what) {
        quiet();
        reset();
    }

    void run(int64_t cycles) {
        for (; cycles > 0 && report.state == kRunning; --cycles) step();
    }

    Report report{};

  private:
    // A reset among rows takes at most so many cycles; a unit has to do with one.
    static constexpr uint64_t kLongestReset = 4;

    // Nothing is offered and nothing taken.
    void quiet() {
        top.s_axis_tvalid = 0;
        top.m_axis_tready = 0;
#if EXAQ_ROW_BYTES
        top.m_row_tready = 0;
#endif
#if EXAQ_CONTEXTS
        top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_arvalid = 0;
        top.s_axi_bready = top.s_axi_rready = 0;
        top.s_axi_awprot = top.s_axi_arprot = 0;
        top.s_axi_wstrb = 0xf;
#endif
    }

    // Resets the unit among rows. Those of which anything is inside are lost, and what a load has
    // brought is as well: all loads are done again before the next row.
    void restart() {
        int64_t row = report.rows_out;
#if EXAQ_ROW_BYTES
        row = std::min(row, report.results);
        row_held = false;
#endif
#if EXAQ_CONTEXTS
        address_sent = word_sent = answer_held = false;
#endif
        if (in_beat) ++report.rows_in;
        for (; row < report.rows_in; ++row) job.lost[row] = 1;
        report.rows_out = report.results = report.rows_in;
        report.accesses = in_beat = out_beat = idle = 0;
        offering = held = false;
        ++report.resets;
        quiet();
        reset(1 + drawn(kLongestReset));
    }

    void step() {
        if (struck(job.reset)) restart();
        const bool loading = report.accesses < job.access_count;
        if (loading) ask();
        if (!loading && !offering && report.rows_in < job.rows && !paused()) offer();
        top.s_axis_tvalid = offering;
        top.m_axis_tready = !paused();
        await_results();
        settle();
        const bool accepted = offering && top.s_axis_tready;
        const bool emitted = top.m_axis_tvalid && top.m_axis_tready;
        hold_rules();
        if (accepted) accept();
        if (emitted && report.state == kRunning) emit();
        const bool concluded = take_results();
        if (loading && report.accesses) ++report.load_cycles;
        const bool answered = answer();
        tick();
        ++report.cycle;
        idle = accepted || emitted || concluded || answered ? 0 : idle + 1;
        if (report.state != kRunning) return;
        const bool all = report.results == job.rows || !EXAQ_ROW_BYTES;
        if (report.rows_in == job.rows && report.rows_out == job.rows && all) {
            if (idle == kQuietCycles) report.state = kDone;
        } else if (idle == job.idle_limit) {
            report.state = kHang;
        }
    }

    // Elements of a row that the unit computes with.
    int64_t taken(int64_t row) const { return std::min<int64_t>(job.lengths[row], kMaxRow); }

    int64_t beats_in(int64_t row) const {
        return beats_of(job.lengths[row]) + (job.null_beats && job.null_beats[row]);
    }

    int64_t beats_out(int64_t row) const { return std::min(beats_in(row), beats_of(kMaxRow)); }

    void fault(Fault what) {
        if (report.state == kRunning) {
            report.state = kFault;
            report.fault = what;
        }
    }

    // Puts the next beat on the input port, where it stays until it is accepted.
    void offer() {
        const int64_t length = job.lengths[report.rows_in];
        const int64_t element = report.rows_in * job.width + in_beat * kLanes;
        const int64_t count = std::min(kLanes, length - in_beat * kLanes);
        const bool last = in_beat + 1 == beats_in(report.rows_in);
        uint8_t beat[kLanes * EXAQ_LOGIT_BYTES] = {};
        pack<EXAQ_LOGIT_BYTES>(beat, job.logits + element * stored(EXAQ_LOGIT_BYTES), count);
        std::memcpy(&top.s_axis_tdata, beat, sizeof beat);
        in_keep.present((last ? count : kLanes) * EXAQ_LOGIT_BYTES);
        std::memcpy(&top.s_axis_tkeep, in_keep.bits, in_keep.kSize);
        top.s_axis_tlast = last;
#if EXAQ_MASKING || EXAQ_WINDOW_BITS
        Bits<kMaskBits + 2 * EXAQ_WINDOW_BITS> user;
        if (EXAQ_MASKING && job.live)
            for (int64_t i = 0; i < count; ++i) user.put(i, 1, !job.live[element + i]);
        // Other beats than the first have a window of nothing.
        if (EXAQ_WINDOW_BITS && in_beat == 0)
            for (int64_t i = 0; i < 2; ++i)
                user.put(kMaskBits + i * EXAQ_WINDOW_BITS, EXAQ_WINDOW_BITS,
                         job.windows[2 * report.rows_in + i]);
        std::memcpy(&top.s_axis_tuser, user.octets, sizeof user.octets);
#endif
#if EXAQ_CONTEXTS > 1
        top.s_axis_tid = job.contexts[report.rows_in];
#endif
        offering = true;
    }

    void accept() {
        if (in_beat == 0) stamp(0, report.rows_in);
        offering = false;
        ++report.beats_in;
        ++in_beat;
        if (in_beat == beats_out(report.rows_in)) stamp(1, report.rows_in);
        if (top.s_axis_tlast) {
            in_beat = 0;
            ++report.rows_in;
        }
    }

    // A row may only come out once its last taken beat went in, or of codes with references the beat
    // itself.
    bool begun(int64_t row) const {
        const bool in = EXAQ_REFERENCE_BITS ? out_beat < in_beat : in_beat * kLanes >= kMaxRow;
        return row < job.rows && (row < report.rows_in || (row == report.rows_in && in));
    }

    void emit() {
        const int64_t row = report.rows_out;
        if (!begun(row)) return fault(kStrayBeat);
        const int64_t length = taken(row);
        const int64_t count = std::min(kLanes, length - out_beat * kLanes);
        const bool last = out_beat + 1 == beats_out(row);
        if (!top.m_axis_tlast != !last) return fault(last ? kLastMissing : kLastEarly);
        out_keep.present(out_bytes(count));
        if (std::memcmp(&top.m_axis_tkeep, out_keep.bits, out_keep.kSize)) return fault(kWrongKeep);
        const int64_t element = row * job.width + out_beat * kLanes;
#if EXAQ_CODE_BITS
        uint64_t live = 0, given = 0;
        for (int64_t i = 0; i < count; ++i)
            live |= static_cast<uint64_t>(!job.taking_part || job.taking_part[element + i]) << i;
        uint8_t user[(kLanes + EXAQ_REFERENCE_BITS + 7) / 8 + 8] = {};
        std::memcpy(user, &top.m_axis_tuser, (kLanes + EXAQ_REFERENCE_BITS + 7) / 8);
        for (int64_t i = 0; i < kLanes; ++i)
            given |= static_cast<uint64_t>(user[i / 8] >> i % 8 & 1) << i;
        if (given != live) return fault(kWrongLive);
#if EXAQ_REFERENCE_BITS
        int64_t reference = 0;
        for (int64_t i = 0; i < EXAQ_REFERENCE_BITS; ++i)
            reference |= static_cast<int64_t>(user[(kLanes + i) / 8] >> (kLanes + i) % 8 & 1) << i;
        if (reference >> (EXAQ_REFERENCE_BITS - 1)) reference -= int64_t{1} << EXAQ_REFERENCE_BITS;
        if (count) job.references[row * beats_of(job.width) + out_beat] = static_cast<int32_t>(reference);
#endif
#else
        if (!last && top.m_axis_tuser) return fault(kErrorBeforeLast);
#endif
#if EXAQ_CONTEXTS > 1
        if (top.m_axis_tid != job.contexts[row]) return fault(kWrongContext);
#endif
        uint8_t beat[kOutBytes];
        std::memcpy(beat, &top.m_axis_tdata, sizeof beat);
        for (int64_t i = out_bytes(count); i < kOutBytes; ++i)
            if (beat[i]) return fault(kAbsentNotZero);
#if EXAQ_CODE_BITS
        const int64_t used = count * EXAQ_CODE_BITS % 8;
        if (used && beat[out_bytes(count) - 1] >> used) return fault(kAbsentNotZero);
        unpack_codes<EXAQ_CODE_BITS>(job.elements + element, beat, count);
#else
        unpack<kElementBytes>(job.elements + element * stored(kElementBytes), beat, count);
#endif
        if (out_beat == 0) stamp(2, row);
        ++report.beats_out;
        ++out_beat;
        if (last) {
            stamp(3, row);
#if !EXAQ_CODE_BITS
            job.row_errors[row] = top.m_axis_tuser;
#endif
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
                     std::memcmp(&held_keep, &top.m_axis_tkeep, sizeof held_keep) ||
                     held_last != top.m_axis_tlast ||
                     std::memcmp(&held_user, &top.m_axis_tuser, sizeof held_user) ||
                     held_context != context_out())
                fault(kPayloadChanged);
        }
        held = top.m_axis_tvalid && !top.m_axis_tready;
        if (held) {
            std::memcpy(&held_data, &top.m_axis_tdata, sizeof held_data);
            std::memcpy(&held_keep, &top.m_axis_tkeep, sizeof held_keep);
            held_last = top.m_axis_tlast;
            std::memcpy(&held_user, &top.m_axis_tuser, sizeof held_user);
            held_context = context_out();
        }
    }

    uint32_t context_out() const {
#if EXAQ_CONTEXTS > 1
        return top.m_axis_tid;
#else
        return 0;
#endif
    }

#if EXAQ_ROW_BYTES
    void await_results() { top.m_row_tready = !paused(); }

    // Takes a row's results, by the same rules; says whether any were taken.
    bool take_results() {
        if (row_held) {
            if (!top.m_row_tvalid)
                fault(kRowValidDropped);
            else if (std::memcmp(&row_held_data, &top.m_row_tdata, sizeof row_held_data) ||
                     row_held_error != top.m_row_tuser || row_held_context != row_context())
                fault(kRowPayloadChanged);
        }
        row_held = top.m_row_tvalid && !top.m_row_tready;
        if (row_held) {
            std::memcpy(&row_held_data, &top.m_row_tdata, sizeof row_held_data);
            row_held_error = top.m_row_tuser;
            row_held_context = row_context();
        }
        if (!top.m_row_tvalid || row_held || report.state != kRunning) return false;

        const int64_t row = report.results;
        if (!begun(row)) {
            fault(kStrayRow);
            return false;
        }
#if EXAQ_CONTEXTS > 1
        if (row_context() != static_cast<uint32_t>(job.contexts[row])) {
            fault(kRowWrongContext);
            return false;
        }
#endif
        std::memcpy(job.results + row * EXAQ_ROW_BYTES, &top.m_row_tdata, EXAQ_ROW_BYTES);
        job.result_errors[row] = top.m_row_tuser;
        stamp(4, row);
        ++report.results;
        return true;
    }

    uint32_t row_context() const {
#if EXAQ_CONTEXTS > 1
        return top.m_row_tid;
#else
        return 0;
#endif
    }
#else
    void await_results() {}
    bool take_results() { return false; }
#endif

#if EXAQ_CONTEXTS
    // Offers the present access: each of its channels may pause, and then stays until taken.
    void ask() {
        const Access& access = job.accesses[report.accesses];
        const bool write = access.kind == kWrite;
        top.s_axi_awvalid = write && !address_sent && (top.s_axi_awvalid || !paused());
        top.s_axi_wvalid = write && !word_sent && (top.s_axi_wvalid || !paused());
        top.s_axi_arvalid = !write && !address_sent && (top.s_axi_arvalid || !paused());
        top.s_axi_awaddr = top.s_axi_araddr = access.address;
        top.s_axi_wdata = access.word;
        top.s_axi_bready = !paused();
        top.s_axi_rready = !paused();
    }

    // Takes what moves on the registers' port; says whether the present access is finished.
    bool answer() {
        const bool loading = report.accesses < job.access_count;
        const Access access = loading ? job.accesses[report.accesses] : Access{};
        const bool write = access.kind == kWrite;
        const bool written = loading && write && address_sent && word_sent;
        const bool read = loading && !write && address_sent;
        if ((top.s_axi_bvalid && !written) || (top.s_axi_rvalid && !read)) fault(kStrayAnswer);
        const bool valid = top.s_axi_bvalid || top.s_axi_rvalid;
        if (answer_held && !valid) fault(kAnswerDropped);
        if (top.s_axi_awvalid && top.s_axi_awready) address_sent = true;
        if (top.s_axi_arvalid && top.s_axi_arready) address_sent = true;
        if (top.s_axi_wvalid && top.s_axi_wready) word_sent = true;
        answer_held = valid && !(write ? top.s_axi_bready : top.s_axi_rready);
        if (!valid || answer_held || report.state != kRunning) return false;

        address_sent = word_sent = false;
        if (write ? top.s_axi_bresp : top.s_axi_rresp) fault(kErrorAnswer);
        if (!write) {
            report.status = top.s_axi_rdata;
            if (!(report.status & access.word)) return false;
            if (report.status & access.bad) fault(kRefused);
        }
        if (report.state != kRunning) return false;
        ++report.accesses;
        return true;
    }
#else
    void ask() {}
    bool answer() { return false; }
#endif

    void stamp(int64_t which, int64_t row) { job.stamps[which * job.rows + row] = report.cycle; }

    Job job;
    bool offering = false;
    int64_t in_beat = 0, out_beat = 0, idle = 0;
    Keep<kLanes * EXAQ_LOGIT_BYTES> in_keep;
    Keep<kOutBytes> out_keep;
    bool held = false;
    std::remove_reference_t<decltype(top.m_axis_tdata)> held_data;
    std::remove_reference_t<decltype(top.m_axis_tkeep)> held_keep;
    std::remove_reference_t<decltype(top.m_axis_tuser)> held_user;
    CData held_last = 0;
    uint32_t held_context = 0;
#if EXAQ_ROW_BYTES
    bool row_held = false;
    std::remove_reference_t<decltype(top.m_row_tdata)> row_held_data;
    CData row_held_error = 0;
    uint32_t row_held_context = 0;
#endif
#if EXAQ_CONTEXTS
    bool address_sent = false, word_sent = false, answer_held = false;
#endif
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
