/* cpulatency.h - how long a processor may take to wake.
 *
 * After nstime.h.  An idle processor sleeps; the deeper, the longer an interrupt waits for it
 * (hundreds of us in the deepest state of a large one, milliseconds where it is a virtual one
 * that its host has given to others), and with the interrupt the packet that is to be sent or
 * stamped.  The kernel lets a process bound that for the whole machine, for as long as it
 * keeps a file open: PM QoS, Documentation/power/pm_qos_interface.rst. */
#ifndef PLUMBLINE_CPULATENCY_H
#define PLUMBLINE_CPULATENCY_H

#include "nstime.h"

#define CPULATENCY_FILE "/dev/cpu_dma_latency"

/* The kernel's own bound, PM_QOS_CPU_LATENCY_DEFAULT_VALUE: none. */
#define CPULATENCY_ANY_NS (2000 * NS_PER_S)

/* Opens 'file' (CPULATENCY_FILE), close-on-exec: the bound holds until it is closed.  'at_most' is
 * 0 (processors do not sleep at all: they wait awake, which costs their power) to
 * CPULATENCY_ANY_NS; whole microseconds are asked for, rounded down.  The descriptor, or negative
 * errno. */
int cpulatency_open(const char *file, struct span at_most);

/* Another bound in the place of the one of an open descriptor.  0 or negative errno. */
int cpulatency_change(int fd, struct span at_most);

#endif
