/* For LD_PRELOAD: thread creation fails from the FAIL_THREAD-th thread on. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef int (*start)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static atomic_int started;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    const char *first = getenv("FAIL_THREAD");
    if (first != NULL && atomic_fetch_add(&started, 1) + 1 >= atoi(first)) {
        return EAGAIN;
    }
    union {
        void *address;
        start call;
    } next = {dlsym(RTLD_NEXT, "pthread_create")};
    return next.call(thread, attributes, run, argument);
}
