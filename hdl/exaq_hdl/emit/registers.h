#ifndef EXAQ_SOFTMAX_H
#define EXAQ_SOFTMAX_H

#include <stdint.h>

/* REGISTERS */

/* A word of the registers with the bits of a threshold, in C and in C++. */
#ifdef __cplusplus
#define EXAQ_SOFTMAX_BITS(threshold) static_cast<uint32_t>(threshold)
#else
#define EXAQ_SOFTMAX_BITS(threshold) ((uint32_t)(threshold))
#endif

/* Reads of STATUS after which the functions below give up. */
#ifndef EXAQ_SOFTMAX_POLLS
#define EXAQ_SOFTMAX_POLLS 1000000u
#endif

/* `base` is where the unit's registers are mapped, `offset` one of the addresses above. */
static inline uint32_t exaq_softmax_read(const volatile uint32_t *base, uint32_t offset)
{
    return base[offset / 4u];
}

static inline void exaq_softmax_write(volatile uint32_t *base, uint32_t offset, uint32_t word)
{
    base[offset / 4u] = word;
}

/* 1 where a unit answers, and the very one that this header was made for, if it was for one. */
static inline int exaq_softmax_found(const volatile uint32_t *base)
{
    if (exaq_softmax_read(base, EXAQ_SOFTMAX_ID) != EXAQ_SOFTMAX_ID_VALUE)
        return 0;
#ifdef EXAQ_SOFTMAX_BUILD_VALUE
    return exaq_softmax_read(base, EXAQ_SOFTMAX_BUILD) == EXAQ_SOFTMAX_BUILD_VALUE;
#else
    return 1;
#endif
}

/* Waits until STATUS has a bit of `mask`; gives STATUS, without such a bit where it gave up. */
static inline uint32_t exaq_softmax_wait(const volatile uint32_t *base, uint32_t mask)
{
    uint32_t status = exaq_softmax_read(base, EXAQ_SOFTMAX_STATUS);
    for (uint32_t polls = 1; !(status & mask) && polls < EXAQ_SOFTMAX_POLLS; polls++)
        status = exaq_softmax_read(base, EXAQ_SOFTMAX_STATUS);
    return status;
}

/* Loads a context: 2^M - 1 thresholds, lowest first, 2^M exponentials, E_0 first, and the sink, of
   a unit with sinks; a null pointer for a unit without. STATUS_LENGTH_MASK is the answer where the
   unit is of the other kind.
   Gives 0 when rows that follow go by them; else the tables are what they were, and the result
   is STATUS_BUSY_MASK where the unit did not answer in time, or the bits of STATUS that say what
   was wrong. */
static inline uint32_t exaq_softmax_load_sink(volatile uint32_t *base, uint32_t context,
                                              const int32_t *thresholds,
                                              const uint32_t *exponentials, const int32_t *sink)
{
    const uint32_t errors = EXAQ_SOFTMAX_STATUS_STICKY & ~EXAQ_SOFTMAX_STATUS_DONE_MASK;
    const uint32_t codes = exaq_softmax_read(base, EXAQ_SOFTMAX_CODES);
    const uint32_t bits = (codes & EXAQ_SOFTMAX_CODES_BITS_MASK) >> EXAQ_SOFTMAX_CODES_BITS_SHIFT;
    const uint32_t levels = 1u << bits;
    uint32_t status;
    if (((codes & EXAQ_SOFTMAX_CODES_SINKS_MASK) != 0u) != !!sink)
        return EXAQ_SOFTMAX_STATUS_LENGTH_MASK;
    status = exaq_softmax_wait(base, EXAQ_SOFTMAX_STATUS_READY_MASK);
    if (!(status & EXAQ_SOFTMAX_STATUS_READY_MASK))
        return EXAQ_SOFTMAX_STATUS_BUSY_MASK;
    exaq_softmax_write(base, EXAQ_SOFTMAX_STATUS, EXAQ_SOFTMAX_STATUS_STICKY);
    exaq_softmax_write(base, EXAQ_SOFTMAX_LOAD_BEGIN, context);
    for (uint32_t k = 0; k + 1 < levels; k++)
        exaq_softmax_write(base, EXAQ_SOFTMAX_LOAD_WORD, EXAQ_SOFTMAX_BITS(thresholds[k]));
    for (uint32_t k = 0; k < levels; k++)
        exaq_softmax_write(base, EXAQ_SOFTMAX_LOAD_WORD, exponentials[k]);
    if (sink)
        exaq_softmax_write(base, EXAQ_SOFTMAX_LOAD_WORD, EXAQ_SOFTMAX_BITS(*sink));
    status = exaq_softmax_wait(base, EXAQ_SOFTMAX_STATUS_STICKY);
    if (!(status & EXAQ_SOFTMAX_STATUS_STICKY))
        return EXAQ_SOFTMAX_STATUS_BUSY_MASK;
    return status & errors;
}

/* The same for a unit without sinks. */
static inline uint32_t exaq_softmax_load(volatile uint32_t *base, uint32_t context,
                                         const int32_t *thresholds, const uint32_t *exponentials)
{
    return exaq_softmax_load_sink(base, context, thresholds, exponentials, 0);
}

#endif
