/*
 * machine.h - what of the machine this process may use. Thread: any.
 */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdint.h>

int machine_cores(void);

/*
 * Bytes of memory: the machine's, or less where a control group (version 1 or 2, its own
 * or one above) allows less. root: what stands before /proc and /sys: "" but for tests.
 */
uint64_t machine_memory(const char *root);

#endif
