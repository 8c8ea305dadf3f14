#ifndef ROW_DMA_H
#define ROW_DMA_H

#include <generated/csr.h>
#include <stdint.h>

/* Reads of a register after which the functions below give up. */
#ifndef ROW_DMA_POLLS
#define ROW_DMA_POLLS 1000000u
#endif

/* A row in memory. Both addresses are of words of the bus. */
struct row_dma_row {
    const void *logits;  /* one behind the other, each in whole bytes */
    void *probabilities; /* likewise */
    uint32_t length;     /* elements */
#ifdef CSR_ROW_DMA_CONTEXT_ADDR
    uint32_t context; /* tables that the row goes by */
#endif
#ifdef CSR_ROW_DMA_WINDOW_START_ADDR
    uint32_t window_start, window_stop; /* elements from ... on, up to but without ... */
#endif
};

/* Appends a row to the queue. Gives 0, or why the row was refused:
   1 << CSR_ROW_DMA_REFUSED_FULL_OFFSET or 1 << CSR_ROW_DMA_REFUSED_MISALIGNED_OFFSET.
   What the CPU has written to the row must be in memory, not in a cache. */
static inline uint32_t row_dma_put_row(const struct row_dma_row *row)
{
    row_dma_logits_write((uintptr_t)row->logits);
    row_dma_results_write((uintptr_t)row->probabilities);
    row_dma_length_write(row->length);
#ifdef CSR_ROW_DMA_CONTEXT_ADDR
    row_dma_context_write(row->context);
#endif
#ifdef CSR_ROW_DMA_WINDOW_START_ADDR
    row_dma_window_start_write(row->window_start);
    row_dma_window_stop_write(row->window_stop);
#endif
    row_dma_put_write(1);
    return row_dma_refused_read();
}

/* Waits until STATUS has the bit at `offset`; gives whether it has. */
static inline int row_dma_wait(uint32_t offset)
{
    for (uint32_t polls = 0; polls < ROW_DMA_POLLS; polls++)
        if (row_dma_status_read() >> offset & 1u)
            return 1;
    return 0;
}

/* Waits until the queue has room for a row; 0 where it gave up. */
static inline int row_dma_wait_room(void) { return row_dma_wait(CSR_ROW_DMA_STATUS_ROOM_OFFSET); }

/* Waits until all rows are in memory; 0 where it gave up. Then the CPU must read memory itself, not
   what a cache holds of it: flush_cpu_dcache() of LiteX's system.h. */
static inline int row_dma_wait_idle(void) { return row_dma_wait(CSR_ROW_DMA_STATUS_IDLE_OFFSET); }

#endif
