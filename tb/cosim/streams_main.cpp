// Drives the streams of a verilated module with AXI4-Stream ports, each with stalls of its own.
//
// Reads from standard input, a number or a word in hexadecimal each: the seed, the chance of a stall
// in 256ths for the beats, the rows and the results, the most cycles; the number of beats and, for
// each, data, user and last; the number of rows and their data; the number of results to wait for.
// Writes the cycles in which the last beat and the first result were taken, then a line for each
// result: data and last.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "Vunit.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

uint64_t state;

// Xorshift; a flag that is true in `chance` of 256 cases.
bool happens(unsigned chance) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return ((state >> 32) & 255) < chance;
}

// Puts hexadecimal digits into a port of any width.
template <typename Port>
void put(Port& port, const std::string& digits) {
  if constexpr (std::is_integral_v<Port>) {
    port = static_cast<Port>(std::stoull(digits, nullptr, 16));
  } else {
    const size_t words = sizeof(port) / 4;
    for (size_t k = 0; k < words; ++k) {
      const size_t end = digits.size() > 8 * k ? digits.size() - 8 * k : 0;
      const size_t begin = end > 8 ? end - 8 : 0;
      port[k] = end ? std::stoul(digits.substr(begin, end - begin), nullptr, 16) : 0;
    }
  }
}

template <typename Port>
std::string digits_of(const Port& port) {
  char text[17];
  std::string found;
  if constexpr (std::is_integral_v<Port>) {
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(port));
    return text;
  } else {
    for (size_t k = sizeof(port) / 4; k-- > 0;) {
      std::snprintf(text, sizeof text, "%08x", port[k]);
      found += text;
    }
    return found;
  }
}

struct Beat {
  std::string data, user;
  bool last;
};

}  // namespace

int main() {
  unsigned stall_beats, stall_rows, stall_results;
  long most, results, count;
  std::cin >> state >> stall_beats >> stall_rows >> stall_results >> most >> count;
  std::vector<Beat> beats(count);
  for (Beat& beat : beats) std::cin >> beat.data >> beat.user >> beat.last;
  std::cin >> count;
  std::vector<std::string> rows(count);
  for (std::string& row : rows) std::cin >> row;
  std::cin >> results;
  if (!std::cin) return 2;

  Vunit unit;
  size_t beat = 0, row = 0;
  long last_in = -1, first_out = -1, taken = 0;
  std::string lines;
  bool beat_offered = false, row_offered = false;
  unit.aclk = 0;
  for (long cycle = 0; taken < results; ++cycle) {
    if (cycle == most) {
      std::fprintf(stderr, "%ld of %ld results after %ld cycles\n", taken, results, cycle);
      return 1;
    }
    unit.aresetn = cycle >= 3;
    // What is offered stays until it is taken.
    beat_offered = beat_offered || (unit.aresetn && beat < beats.size() && !happens(stall_beats));
    row_offered = row_offered || (unit.aresetn && row < rows.size() && !happens(stall_rows));
    unit.s_axis_tvalid = beat_offered;
    unit.s_row_tvalid = row_offered;
    if (beat_offered) {
      put(unit.s_axis_tdata, beats[beat].data);
      put(unit.s_axis_tuser, beats[beat].user);
      unit.s_axis_tlast = beats[beat].last;
    }
    if (row_offered) put(unit.s_row_tdata, rows[row]);
    unit.m_axis_tready = !happens(stall_results);
    unit.eval();
    if (beat_offered && unit.s_axis_tready) {
      beat_offered = false;
      last_in = cycle;
      ++beat;
    }
    if (row_offered && unit.s_row_tready) {
      row_offered = false;
      ++row;
    }
    if (unit.aresetn && unit.m_axis_tvalid && unit.m_axis_tready) {
      if (first_out < 0) first_out = cycle;
      lines += digits_of(unit.m_axis_tdata) + (unit.m_axis_tlast ? " 1\n" : " 0\n");
      ++taken;
    }
    unit.aclk = 1;
    unit.eval();
    unit.aclk = 0;
    unit.eval();
  }
  std::printf("%ld %ld\n%s", last_in, first_out, lines.c_str());
  return 0;
}
