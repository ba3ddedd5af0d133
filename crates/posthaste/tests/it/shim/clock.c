/*
 * Preloaded into a server under test: its wall clock is wrong by SHIM_SECONDS. All other clocks are right.
 *
 * It calls the kernel itself, so that it never meets its own function. Linux, 64 bits.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    const char *seconds = getenv("SHIM_SECONDS");
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && seconds != NULL) time->tv_sec += atol(seconds);
    return result;
}
