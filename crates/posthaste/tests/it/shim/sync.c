/*
 * Preloaded into a server under test: watches how it writes and syncs its store, slows syncs down, makes them fail.
 *
 * SHIM_MATCH     files whose path contains this are watched
 * SHIM_LOG       where each watched call is appended as a line, times in nanoseconds of CLOCK_MONOTONIC:
 *                  sync BEGAN ENDED RESULT FILE      fsync or fdatasync
 *                  mark BEGAN ENDED NUMBER FILE      a write whose bytes hold "mark-NUMBER."
 * SHIM_DELAY_MS  each sync takes at least so long
 * SHIM_FAIL      while this file exists, syncs fail with EIO; the kernel is not even asked
 *
 * It calls the kernel itself, so that it never meets its own functions. Linux, 64 bits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* The last part of the path of a watched file; NULL for all others. */
static const char *watched(int fd, char *path, size_t size) {
    const char *match = getenv("SHIM_MATCH");
    char link[64];
    if (match == NULL) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length <= 0) return NULL;
    path[length] = 0;
    if (strstr(path, match) == NULL) return NULL;
    const char *name = strrchr(path, '/');
    return name ? name + 1 : path;
}

static void line(const char *what, long long began, long long number, const char *name) {
    static int log_fd = -1;
    char text[PATH_MAX + 128];
    const char *log = getenv("SHIM_LOG");
    if (log == NULL) return;
    if (log_fd < 0) log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int length = snprintf(text, sizeof text, "%s %lld %lld %lld %s\n", what, began, now_ns(), number, name);
    if (log_fd >= 0) syscall(SYS_write, log_fd, text, (size_t)length);
}

static int sync_file(long call, int fd) {
    char path[PATH_MAX];
    int saved = errno;
    const char *name = watched(fd, path, sizeof path);
    errno = saved;
    if (name == NULL) return (int)syscall(call, fd);
    long long began = now_ns();
    const char *fail = getenv("SHIM_FAIL"), *delay = getenv("SHIM_DELAY_MS");
    int result = -1, error = EIO;
    if (fail == NULL || access(fail, F_OK) != 0) {
        result = (int)syscall(call, fd);
        error = result == 0 ? saved : errno;
    }
    if (delay != NULL) {
        long ms = atol(delay);
        struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
        while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
    }
    line("sync", began, result, name);
    errno = error;
    return result;
}

int fsync(int fd) { return sync_file(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_file(SYS_fdatasync, fd); }

static void note_marks(int fd, const char *bytes, ssize_t size, long long began) {
    char path[PATH_MAX];
    int saved = errno;
    const char *name = size > 0 ? watched(fd, path, sizeof path) : NULL;
    const char *end = bytes + (size > 0 ? size : 0);
    while (name != NULL && (bytes = memmem(bytes, (size_t)(end - bytes), "mark-", 5)) != NULL) {
        long long number = 0;
        for (bytes += 5; bytes < end && *bytes >= '0' && *bytes <= '9'; bytes++) number = number * 10 + (*bytes - '0');
        if (bytes < end && *bytes == '.') line("mark", began, number, name);
    }
    errno = saved;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    long long began = now_ns();
    ssize_t written = syscall(SYS_write, fd, bytes, size);
    note_marks(fd, bytes, written, began);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
    long long began = now_ns();
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, size, offset);
    note_marks(fd, bytes, written, began);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    return pwrite64(fd, bytes, size, offset);
}
