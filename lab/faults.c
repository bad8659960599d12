// Faults of a machine for a program under test: another time, a disk that refuses writes, a main thread that stalls, a worker
// of Envoy that gets no room for a VM.
//
// Loaded with LD_PRELOAD, it stands between the program and the C library. What it does is said in a file of 20 bytes that
// the test writes while the program runs (lab/src/faults.rs): by how many seconds the clock of the day is wrong, with which
// error writes to a database fail, whether the main thread stalls before it next takes up work (it holds no lock there,
// so the other threads go on), and whether one worker gets no room for VMs.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct faults {
    int64_t shift_seconds;
    int32_t write_error;
    int32_t stall;
    int32_t no_room_for_vms;
};

static const struct faults none;
static const volatile struct faults *faults = &none;

__attribute__((constructor)) static void read_faults(void) {
    const char *file = getenv("LAB_FAULTS");
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        faults = mapped;
}

// The next definition of this very function.
#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

static int is_time_of_day(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next)
        next = REAL(clock_gettime);
    int result = next(clock, time);
    if (result == 0 && is_time_of_day(clock))
        time->tv_sec += faults->shift_seconds;
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *copy) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (copy)
        *copy = now.tv_sec;
    return now.tv_sec;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
    int found = REAL(epoll_wait)(epoll, events, most, timeout);
    int error = errno;
    while (faults->stall && getpid() == syscall(SYS_gettid))
        usleep(1000);
    errno = error;
    return found;
}

// V8 sets that much aside for the memory of each VM, and nobody else does. The first thread but the main one that asks is the one
// that gets nothing; threads have their names too late to be told by them.
static int has_no_room(size_t length) {
    static pid_t without;
    pid_t thread = (pid_t)syscall(SYS_gettid);
    if (!faults->no_room_for_vms || length < (size_t)8 << 30 || thread == getpid())
        return 0;
    __sync_val_compare_and_swap(&without, 0, thread);
    return thread == without;
}

// The system call itself, because this may be asked before the next definition can be looked for.
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t at) {
    if (has_no_room(length)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, at);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t at) {
    return mmap(address, length, protection, flags, fd, at);
}

// SQLite's file, and those beside it; not logs, which the test reads, and not sockets.
static int is_database(const char *path) {
    return path && strstr(path, ".db") != NULL;
}

static int refuses(int fd) {
    int error = faults->write_error;
    if (!error)
        return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (!is_database(path))
        return 0;
    errno = error;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return refuses(fd) ? -1 : REAL(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return refuses(fd) ? -1 : REAL(pwrite)(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return refuses(fd) ? -1 : REAL(pwrite64)(fd, bytes, count, at);
}

// A full disk can still be cut; one that is read-only cannot.
static int refuses_more_than_space(int fd) {
    return faults->write_error == EROFS && refuses(fd);
}

int ftruncate(int fd, off_t length) {
    return refuses_more_than_space(fd) ? -1 : REAL(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    return refuses_more_than_space(fd) ? -1 : REAL(ftruncate64)(fd, length);
}

static int refuses_opening(const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    if (faults->write_error != EROFS || !writes || !is_database(path))
        return 0;
    errno = EROFS;
    return 1;
}

#define OPEN(name)                                                                                                             \
    int name(const char *path, int flags, ...) {                                                                               \
        va_list more;                                                                                                          \
        va_start(more, flags);                                                                                                 \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;                                              \
        va_end(more);                                                                                                          \
        return refuses_opening(path, flags) ? -1 : REAL(name)(path, flags, mode);                                              \
    }

OPEN(open)
OPEN(open64)

int unlink(const char *path) {
    if (refuses_opening(path, O_WRONLY))
        return -1;
    return REAL(unlink)(path);
}
