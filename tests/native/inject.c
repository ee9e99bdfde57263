/* Preloaded into our programs by `cargo xtask faults`. Makes selected system calls fail, or writes a journal of their file
 * operations. Only calls on paths in the given folders count; thread creation counts everywhere.
 *
 *   FAULTS_STATE    a file of zeros, mapped by all processes: counts of calls and of failures
 *   FAULTS_BELOW    folders, separated by colons
 *   FAULTS_CALL     the call that fails, by its name in the table below: from the FAULTS_NTH one on, FAULTS_TIMES times
 *   FAULTS_ERROR    its errno; 0 makes a read or write shorter instead
 *   FAULTS_JOURNAL  the file for the journal
 *
 * Uses syscall(2) for the real calls: looking up the real functions would allocate memory during a call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { OPEN, READ, WRITE, FSYNC, RENAME, MKDIR, UNLINK, FLOCK, MMAP, STAT, TRUNCATE, LINK, THREAD, CALLS };
static const char *const NAMES[CALLS] = {"open",  "read", "write", "fsync",    "rename", "mkdir", "unlink",
                                         "flock", "mmap", "stat",  "truncate", "link",   "thread"};

struct slot {
    char name[16];
    uint64_t made;
};

/* The same page in every process; cargo xtask reads it. */
struct state {
    uint64_t fired, lock;
    struct slot calls[CALLS];
};

static struct state *state;
static char below[PATH_MAX];
static int chosen = -1, error;
static uint64_t nth, times;
static int journal = -1;
static int ready;

static uint64_t number(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

static void prepare(void) {
    const char *file = getenv("FAULTS_STATE"), *folders = getenv("FAULTS_BELOW"), *call = getenv("FAULTS_CALL");
    const char *record = getenv("FAULTS_JOURNAL");
    ready = 1;
    if (!file || !folders || strlen(folders) >= sizeof below) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *page = (void *)syscall(SYS_mmap, NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
    syscall(SYS_close, fd);
    if (page == MAP_FAILED) return;
    strcpy(below, folders);
    state = page;
    for (int i = 0; i < CALLS; i++) {
        strcpy(state->calls[i].name, NAMES[i]);
        if (call && !strcmp(call, NAMES[i])) chosen = i;
    }
    nth = number("FAULTS_NTH"), times = number("FAULTS_TIMES"), error = (int)number("FAULTS_ERROR");
    if (record) journal = (int)syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
}

/* The absolute path of a name, or of the open file if the name is NULL; 0 if there is none. */
static int path_of(int folder, const char *name, char out[PATH_MAX]) {
    char link[64];
    size_t length = 0;
    if (!ready) prepare();
    if (!state) return 0;
    if (!name || name[0] != '/') {
        if (name && folder == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        long got = syscall(SYS_readlinkat, AT_FDCWD, link, out, (size_t)PATH_MAX - 1);
        if (got <= 0 || out[0] != '/') return 0;
        length = (size_t)got;
        if (name && name[0]) out[length++] = '/';
    }
    if (name) {
        if (length + strlen(name) >= PATH_MAX) return 0;
        strcpy(out + length, name);
        length += strlen(name);
    }
    out[length] = 0;
    return 1;
}

static int is_below(const char *path) {
    for (const char *from = below; *from;) {
        size_t length = strcspn(from, ":");
        if (!strncmp(path, from, length) && (path[length] == '/' || !path[length])) return 1;
        from += length + (from[length] == ':');
    }
    return 0;
}

/* Counts a call. Returns true if it must fail. */
static int falls(enum call call) {
    uint64_t made = __atomic_add_fetch(&state->calls[call].made, 1, __ATOMIC_SEQ_CST);
    if ((int)call != chosen || made < nth || made >= nth + times) return 0;
    __atomic_add_fetch(&state->fired, 1, __ATOMIC_SEQ_CST);
    errno = error;
    return 1;
}

static int falls_at(enum call call, int folder, const char *name, char path[PATH_MAX]) {
    int saved = errno, counts = path_of(folder, name, path) && is_below(path);
    errno = saved;
    if (!counts) path[0] = 0;
    return counts && falls(call);
}

/* All processes share one journal, in the order of the operations. */
static void begin(void) {
    while (journal >= 0 && __atomic_exchange_n(&state->lock, 1, __ATOMIC_ACQUIRE)) sched_yield();
}

static void end(void) {
    if (journal >= 0) __atomic_store_n(&state->lock, 0, __ATOMIC_RELEASE);
}

static uint64_t file_of(int fd, int *folder) {
    struct stat found;
    if (syscall(SYS_fstat, fd, &found)) return 0;
    if (folder) *folder = S_ISDIR(found.st_mode);
    return found.st_ino;
}

/* "OP FILE OFFSET PATH OTHER DATA\n", the last three as lengths, then their bytes. */
static void note(char op, uint64_t file, uint64_t offset, const char *path, const char *other, const void *data, size_t length) {
    char head[128];
    int saved = errno;
    int size = snprintf(head, sizeof head, "%c %llu %llu %zu %zu %zu\n", op, (unsigned long long)file,
                        (unsigned long long)offset, strlen(path), strlen(other), length);
    struct iovec parts[4] = {{head, (size_t)size}, {(void *)path, strlen(path)}, {(void *)other, strlen(other)}, {(void *)data, length}};
    syscall(SYS_writev, journal, parts, 4L);
    errno = saved;
}

static int opened(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (falls_at(OPEN, folder, name, path)) return -1;
    if (!path[0] || journal < 0 || !(flags & (O_CREAT | O_TRUNC))) return (int)syscall(SYS_openat, folder, name, flags, mode);
    begin();
    int is_new = syscall(SYS_faccessat, folder, name, F_OK) != 0;
    int fd = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (fd >= 0 && is_new) note('c', file_of(fd, NULL), 0, path, "", NULL, 0);
    if (fd >= 0 && !is_new && (flags & O_TRUNC)) note('t', file_of(fd, NULL), 0, path, "", NULL, 0);
    end();
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(rest, int) : 0;
}

#define OPENS(name)                                      \
    int name(const char *path, int flags, ...) {         \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = mode_of(flags, rest);              \
        va_end(rest);                                    \
        return opened(AT_FDCWD, path, flags, mode);      \
    }
#define OPENS_AT(name)                                         \
    int name(int folder, const char *path, int flags, ...) {   \
        va_list rest;                                          \
        va_start(rest, flags);                                 \
        mode_t mode = mode_of(flags, rest);                    \
        va_end(rest);                                          \
        return opened(folder, path, flags, mode);              \
    }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

/* The length of a read or write: shorter if that is the fault, -1 if it must fail. */
static long allowed(enum call call, int fd, size_t length) {
    char path[PATH_MAX];
    if (!falls_at(call, fd, NULL, path)) return (long)length;
    return error ? -1 : (long)((length + 1) / 2);
}

ssize_t read(int fd, void *to, size_t length) {
    long part = allowed(READ, fd, length);
    return part < 0 ? -1 : syscall(SYS_read, fd, to, (size_t)part);
}

static ssize_t read_at(int fd, void *to, size_t length, off_t offset) {
    long part = allowed(READ, fd, length);
    return part < 0 ? -1 : syscall(SYS_pread64, fd, to, (size_t)part, offset);
}
ssize_t pread(int fd, void *to, size_t length, off_t offset) { return read_at(fd, to, length, offset); }
ssize_t pread64(int fd, void *to, size_t length, off64_t offset) { return read_at(fd, to, length, offset); }

/* Events of the engine are in the journal too: acknowledged work must survive a power cut. */
static void wrote(int fd, const void *data, ssize_t done, off_t offset) {
    char path[PATH_MAX];
    if (done <= 0) return;
    if (path_of(fd, NULL, path) && is_below(path)) {
        if (offset < 0) offset = (off_t)syscall(SYS_lseek, fd, 0L, SEEK_CUR) - done;
        note('w', file_of(fd, NULL), (uint64_t)offset, path, "", data, (size_t)done);
    } else if (memmem(data, (size_t)done, "\"event\"", 7)) {
        note('e', 0, 0, "", "", data, (size_t)done);
    }
}

static ssize_t written(int fd, const void *data, size_t length, off_t offset) {
    long part = allowed(WRITE, fd, length);
    if (part < 0) return -1;
    begin();
    ssize_t done = offset < 0 ? syscall(SYS_write, fd, data, (size_t)part) : syscall(SYS_pwrite64, fd, data, (size_t)part, offset);
    if (journal >= 0) wrote(fd, data, done, offset);
    end();
    return done;
}
ssize_t write(int fd, const void *data, size_t length) { return written(fd, data, length, -1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return written(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return written(fd, data, length, offset); }

/* Callers of writev must handle short writes, so writing the first non-empty part is enough. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len) return written(fd, parts[i].iov_base, parts[i].iov_len, -1);
    return 0;
}

static int synced(int fd, long call) {
    char path[PATH_MAX];
    int folder = 0;
    if (falls_at(FSYNC, fd, NULL, path)) return -1;
    if (!path[0] || journal < 0) return (int)syscall(call, fd);
    begin();
    int done = (int)syscall(call, fd);
    uint64_t file = file_of(fd, &folder);
    if (!done) note(folder ? 'd' : 's', file, 0, path, "", NULL, 0);
    end();
    return done;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int renamed(int from, const char *old, int to, const char *name, unsigned flags) {
    char path[PATH_MAX], other[PATH_MAX];
    if (falls_at(RENAME, from, old, path)) return -1;
    begin();
    int done = (int)syscall(SYS_renameat2, from, old, to, name, flags);
    if (journal >= 0 && !done && path[0] && path_of(to, name, other)) note('r', 0, 0, path, other, NULL, 0);
    end();
    return done;
}
int rename(const char *old, const char *name) { return renamed(AT_FDCWD, old, AT_FDCWD, name, 0); }
int renameat(int from, const char *old, int to, const char *name) { return renamed(from, old, to, name, 0); }
int renameat2(int from, const char *old, int to, const char *name, unsigned flags) { return renamed(from, old, to, name, flags); }

/* A call on one name; its journal entry is one letter. */
static int named(enum call call, char op, int folder, const char *name, long number, long last) {
    char path[PATH_MAX];
    if (falls_at(call, folder, name, path)) return -1;
    begin();
    int done = (int)syscall(number, folder, name, last);
    if (journal >= 0 && !done && path[0]) note(op, 0, 0, path, "", NULL, 0);
    end();
    return done;
}
int mkdir(const char *name, mode_t mode) { return named(MKDIR, 'm', AT_FDCWD, name, SYS_mkdirat, mode); }
int mkdirat(int folder, const char *name, mode_t mode) { return named(MKDIR, 'm', folder, name, SYS_mkdirat, mode); }
int unlink(const char *name) { return named(UNLINK, 'u', AT_FDCWD, name, SYS_unlinkat, 0); }
int rmdir(const char *name) { return named(UNLINK, 'u', AT_FDCWD, name, SYS_unlinkat, AT_REMOVEDIR); }
int unlinkat(int folder, const char *name, int flags) { return named(UNLINK, 'u', folder, name, SYS_unlinkat, flags); }

int linkat(int from, const char *old, int to, const char *name, int flags) {
    char path[PATH_MAX], other[PATH_MAX];
    if (falls_at(LINK, to, name, path)) return -1;
    begin();
    int done = (int)syscall(SYS_linkat, from, old, to, name, flags);
    if (journal >= 0 && !done && path[0] && path_of(from, old, other)) note('l', 0, 0, other, path, NULL, 0);
    end();
    return done;
}
int link(const char *old, const char *name) { return linkat(AT_FDCWD, old, AT_FDCWD, name, 0); }

static int cut(int fd, off_t length) {
    char path[PATH_MAX];
    if (falls_at(TRUNCATE, fd, NULL, path)) return -1;
    begin();
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (journal >= 0 && !done && path[0]) note('t', file_of(fd, NULL), (uint64_t)length, path, "", NULL, 0);
    end();
    return done;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

int flock(int fd, int how) {
    char path[PATH_MAX];
    return falls_at(FLOCK, fd, NULL, path) ? -1 : (int)syscall(SYS_flock, fd, how);
}

static void *mapped(void *at, size_t length, int may, int flags, int fd, off_t offset) {
    char path[PATH_MAX];
    if (fd >= 0 && falls_at(MMAP, fd, NULL, path)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, length, may, flags, fd, offset);
}
void *mmap(void *at, size_t length, int may, int flags, int fd, off_t offset) { return mapped(at, length, may, flags, fd, offset); }
void *mmap64(void *at, size_t length, int may, int flags, int fd, off64_t offset) { return mapped(at, length, may, flags, fd, offset); }

/* Rust probes this call with a NULL name, although the header declares the argument as nonnull. */
int stat_of(int folder, const char *name, int flags, unsigned mask, struct statx *to) __asm__("statx");
int stat_of(int folder, const char *name, int flags, unsigned mask, struct statx *to) {
    char path[PATH_MAX];
    if (name && falls_at(STAT, folder, name[0] ? name : NULL, path)) return -1;
    return (int)syscall(SYS_statx, folder, name, flags, mask, to);
}

/* Without these, the kernel would copy files, which the journal cannot see. */
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *into, size_t length, unsigned flags) {
    (void)from, (void)at, (void)to, (void)into, (void)length, (void)flags;
    errno = ENOSYS;
    return -1;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*start)(void *), void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (!ready) prepare();
    if (state && falls(THREAD)) return error;
    return real(thread, how, start, argument);
}
