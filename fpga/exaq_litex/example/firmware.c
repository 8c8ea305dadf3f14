/* Loads a context, has all rows go through the unit, compares each bit with the golden model. */

#include "example_rows.h"
#include "exaq_softmax.h"
#include "row_dma.h"
#include <generated/csr.h>
#include <generated/mem.h>
#include <system.h>

#define WORDS(array) (sizeof(array) / sizeof(uint32_t))

static uint32_t results[WORDS(example_wanted)];

void isr(void) {}

static void print(const char *text)
{
    for (; *text; text++) {
        while (uart_txfull_read())
            ;
        uart_rxtx_write(*text);
    }
}

static void print_number(uint32_t number)
{
    char text[11];
    char *digit = text + 10;
    *digit = 0;
    do
        *--digit = '0' + number % 10;
    while (number /= 10);
    print(digit);
}

static uint32_t cycles(void)
{
    timer0_uptime_latch_write(1);
    return timer0_uptime_cycles_read();
}

static uint32_t stream_rows(void)
{
    const uint32_t begun = cycles();
    for (uint32_t k = 0; k < EXAMPLE_ROWS; k++) {
        const struct row_dma_row row = {
            .logits = example_logits + example_rows[k].logits,
            .probabilities = results + example_rows[k].wanted,
            .length = example_rows[k].length,
            .context = example_rows[k].context,
            .window_start = example_rows[k].start,
            .window_stop = example_rows[k].stop,
        };
        row_dma_wait_room();
        if (row_dma_put_row(&row))
            print("a row was refused\n");
    }
    row_dma_wait_idle();
    flush_cpu_dcache();
    return cycles() - begun;
}

int main(void)
{
    volatile uint32_t *unit = (volatile uint32_t *)SOFTMAX_BASE;
    uint32_t taken, wrong = 0;

    if (!exaq_softmax_found(unit))
        print("no unit, or another one\n");
    if (exaq_softmax_load(unit, EXAMPLE_LOADED, example_thresholds, example_exponentials))
        print("the context was not loaded\n");
    taken = stream_rows();
    for (uint32_t k = 0; k < WORDS(example_wanted); k++)
        wrong += results[k] != example_wanted[k];

    print_number(row_dma_rows_read());
    print(" rows, ");
    print_number(row_dma_errors_read());
    print(" of them too long, ");
    print_number(exaq_softmax_read(unit, EXAQ_SOFTMAX_BEATS));
    print(" beats in ");
    print_number(taken);
    print(" cycles\n");
    print_number(wrong);
    print(" words differ from the golden model\n");
    if (wrong || row_dma_rows_read() != EXAMPLE_ROWS || row_dma_errors_read() != EXAMPLE_LONG_ROWS)
        print("FAILED\n");
    else
        print("PASSED\n");
    print("\004");
    for (;;)
        ;
}
