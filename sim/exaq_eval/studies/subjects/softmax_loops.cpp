// The phases of a softmax as loops, each over all rows of a block: exact in floating point, and
// EXAQ's with codes of 2 bits, four to an octet. Every loop stands in a function that is not
// inlined, and what it writes is read by others, so none can be optimised away.
//
// WIDE 1 writes two loops of EXAQ so that GCC turns them into vector instructions; element by
// element these forms are slower than those of WIDE 0. The exact loops need no second form.

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define LOOP __attribute__((noinline))

// Elements that WIDE loops take at once; a row is a multiple of them.
constexpr std::size_t SPAN = 128;

#if WIDE && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "WIDE takes the first of four octets for the lowest"
#endif

// A block of rows, and all that the phases read and write.
struct Block {
    std::size_t rows, row;                   // rows, and elements of each
    const float *logits;                     // [rows][row]
    const float *thresholds;                 // [3] distances from a row's maximum, rising
    const std::uint32_t *levels;             // [4] exponentials of the codes
    const std::uint32_t *sum_table;          // [256] LUT_sum: exponentials of four codes, added up
    float *maxima;                           // [rows]
    float *exponentials, *sums;              // [rows][row], [rows]; exact
    std::uint8_t *codes;                     // [rows][row / 4]; EXAQ, the first code lowest
    std::uint32_t *code_sums;                // [rows]; EXAQ
    float *probabilities;                    // [rows][row]
};

LOOP static void maximum(const Block &block)
{
    for (std::size_t r = 0; r < block.rows; ++r) {
        const float *__restrict logits = block.logits + r * block.row;
        float most = logits[0];
        for (std::size_t i = 1; i < block.row; ++i)
            most = logits[i] > most ? logits[i] : most;
        block.maxima[r] = most;
    }
}

LOOP static void exact_exponent(const Block &block)
{
    for (std::size_t r = 0; r < block.rows; ++r) {
        const float *__restrict logits = block.logits + r * block.row;
        float *__restrict exponentials = block.exponentials + r * block.row;
        const float most = block.maxima[r];
        for (std::size_t i = 0; i < block.row; ++i)
            exponentials[i] = std::exp(logits[i] - most);
    }
}

LOOP static void exact_accumulation(const Block &block)
{
    for (std::size_t r = 0; r < block.rows; ++r) {
        const float *__restrict exponentials = block.exponentials + r * block.row;
        float sum = 0;
        for (std::size_t i = 0; i < block.row; ++i)
            sum += exponentials[i];
        block.sums[r] = sum;
    }
}

// A division a row and a product an element: faster than a division an element.
LOOP static void exact_normalisation(const Block &block)
{
    for (std::size_t r = 0; r < block.rows; ++r) {
        const float *__restrict exponentials = block.exponentials + r * block.row;
        float *__restrict probabilities = block.probabilities + r * block.row;
        const float factor = 1 / block.sums[r];
        for (std::size_t i = 0; i < block.row; ++i)
            probabilities[i] = exponentials[i] * factor;
    }
}

// Four additions at a time that need not wait for each other, for the scalar build.
LOOP static void exact_four_sums(const Block &block)
{
    for (std::size_t r = 0; r < block.rows; ++r) {
        const float *__restrict exponentials = block.exponentials + r * block.row;
        float a = 0, b = 0, c = 0, d = 0;
        for (std::size_t i = 0; i < block.row; i += 4) {
            a += exponentials[i];
            b += exponentials[i + 1];
            c += exponentials[i + 2];
            d += exponentials[i + 3];
        }
        block.sums[r] = (a + b) + (c + d);
    }
}

LOOP static void exaq_exponent(const Block &block)
{
    const float a = block.thresholds[0], b = block.thresholds[1], c = block.thresholds[2];
    for (std::size_t r = 0; r < block.rows; ++r) {
        const float *__restrict logits = block.logits + r * block.row;
        std::uint8_t *__restrict codes = block.codes + r * block.row / 4;
        const float most = block.maxima[r];
#if WIDE
        for (std::size_t at = 0; at < block.row; at += SPAN) {
            std::uint32_t code[SPAN], octets[SPAN / 4];
            for (std::size_t i = 0; i < SPAN; ++i) {
                const float distance = logits[at + i] - most;
                code[i] = (distance >= a) + (distance >= b) + (distance >= c);
            }
            for (std::size_t i = 0; i < SPAN / 4; ++i)
                octets[i] = code[4 * i] | code[4 * i + 1] << 2 | code[4 * i + 2] << 4
                    | code[4 * i + 3] << 6;
            for (std::size_t i = 0; i < SPAN / 4; ++i)
                codes[at / 4 + i] = std::uint8_t(octets[i]);
        }
#else
        for (std::size_t i = 0; i < block.row / 4; ++i) {
            unsigned octet = 0;
            for (unsigned k = 0; k < 4; ++k) {
                const float distance = logits[4 * i + k] - most;
                const unsigned code = unsigned(distance >= a) + (distance >= b) + (distance >= c);
                octet |= code << 2 * k;
            }
            codes[i] = std::uint8_t(octet);
        }
#endif
    }
}

LOOP static void exaq_accumulation(const Block &block)
{
    const std::uint32_t *__restrict table = block.sum_table;
    for (std::size_t r = 0; r < block.rows; ++r) {
        const std::uint8_t *__restrict codes = block.codes + r * block.row / 4;
        std::uint32_t sum = 0;
        for (std::size_t i = 0; i < block.row / 4; ++i)
            sum += table[codes[i]];
        block.code_sums[r] = sum;
    }
}

// Four divisions a row make its p-table, and a lookup an element takes its probability from there.
LOOP static void exaq_normalisation(const Block &block)
{
    for (std::size_t r = 0; r < block.rows; ++r) {
        const std::uint8_t *__restrict codes = block.codes + r * block.row / 4;
        float *__restrict probabilities = block.probabilities + r * block.row;
        float table[4];
        for (unsigned k = 0; k < 4; ++k)
            table[k] = float(block.levels[k]) / float(block.code_sums[r]);
#if WIDE
        const float p0 = table[0], p1 = table[1], p2 = table[2], p3 = table[3];
        for (std::size_t i = 0; i < block.row; i += 16) {
            // Sixteen codes at once: the lookup is a choice among four registers.
            std::uint32_t word;
            std::memcpy(&word, codes + i / 4, sizeof word);
            for (unsigned k = 0; k < 16; ++k) {
                const std::uint32_t code = word >> 2 * k;
                const float low = code & 1 ? p1 : p0, high = code & 1 ? p3 : p2;
                probabilities[i + k] = code & 2 ? high : low;
            }
        }
#else
        for (std::size_t i = 0; i < block.row / 4; ++i)
            for (unsigned k = 0; k < 4; ++k)
                probabilities[4 * i + k] = table[codes[i] >> 2 * k & 3];
#endif
    }
}

static void (*const LOOPS[])(const Block &) = {
    maximum, exact_exponent, exact_accumulation, exact_normalisation,
    maximum, exaq_exponent, exaq_accumulation, exaq_normalisation,
    exact_four_sums,
};

// Nanoseconds of a loop, by its place in LOOPS, run so many times.
extern "C" double run_loop(const Block *block, int loop, int times)
{
    const auto begin = std::chrono::steady_clock::now();
    for (int k = 0; k < times; ++k) {
        LOOPS[loop](*block);
        asm volatile("" : : : "memory");
    }
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin)
        .count();
}
