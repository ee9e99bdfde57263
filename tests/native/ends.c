/* A plugin that ends its process or hangs; the variable ENDS says in which call and how: `PLACE DEED`. Without ENDS it is a
 * correct codec `number`. */

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "anyflow.h"

#define PORT "{\"dtype\": \"f32\", \"axes\": [{\"name\": \"value\", \"size\": 1}]}"

ANYFLOW_DESCRIPTOR(descriptor,
                   "{\"plugin\": \"ends\", \"version\": \"0.2.0\", \"abi\": " ANYFLOW_ABI_JSON ", \"license\": \"MIT\","
                   " \"summary\": \"ends on request\", \"libtorch\": null,"
                   " \"codecs\": [{\"id\": \"number\", \"modality\": \"text\", \"summary\": \"a number\", \"cell\": \"f64\","
                   "   \"feature\": \"Value(float64)\", \"array\": " PORT ", \"parameters\": {}}], \"modules\": []}");

static void crash(void) { *(volatile int *)8 = 1; }

static void *crashing(void *nothing) {
    crash();
    return nothing;
}

/* Overflows the stack: every call returns a value that depends on the next. */
static int deep(int left, volatile char *above) {
    volatile char here[4096];
    here[0] = above[0];
    here[1] = 0;
    return left == 0 ? 0 : deep(left - 1, here) + here[1];
}

static void child(void) {
    if (fork() == 0) {
        sleep(120);
        _exit(0);
    }
}

static void print_without_end(size_t megabytes) {
    static char text[1 << 20];
    memset(text, 'x', sizeof text);
    for (size_t n = 0; n < megabytes; n++) {
        fwrite(text, 1, sizeof text, stdout);
    }
    fflush(stdout);
}

static const char spoof[] = "{\"event\":\"done\",\"result\":{\"rows\":1000000,\"failed\":0}}\n";

static void at(const char *place, const AnyflowReport *report) {
    const char *asked = getenv("ENDS");
    if (asked == NULL || strncmp(asked, place, strlen(place)) != 0 || asked[strlen(place)] != ' ') {
        return;
    }
    const char *deed = asked + strlen(place) + 1;
    if (strcmp(deed, "crash") == 0) {
        crash();
    } else if (strcmp(deed, "overflow") == 0) {
        volatile char here = 0;
        deep(1 << 20, &here);
    } else if (strcmp(deed, "divide") == 0) {
        raise(SIGFPE);
    } else if (strcmp(deed, "abort") == 0) {
        abort();
    } else if (strcmp(deed, "exit") == 0) {
        exit(0);
    } else if (strcmp(deed, "_exit") == 0) {
        _exit(9);
    } else if (strcmp(deed, "thread") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, crashing, NULL);
        pthread_join(thread, NULL);
    } else if (strcmp(deed, "hang") == 0) {
        fprintf(stderr, "%s hangs\n", place);
        sleep(3600);
    } else if (strcmp(deed, "child-hang") == 0) {
        child();
        fprintf(stderr, "%s hangs\n", place);
        sleep(3600);
    } else if (strcmp(deed, "child-crash") == 0) {
        child();
        crash();
    } else if (strcmp(deed, "child") == 0) {
        child();
    } else if (strcmp(deed, "crashing-child") == 0) {
        if (fork() == 0) {
            crash();
        }
    } else if (strcmp(deed, "spoof") == 0) {
        fputs(spoof, stdout);
    } else if (strcmp(deed, "spoof-_exit") == 0) {
        fputs(spoof, stdout);
        fflush(stdout);
        _exit(9);
    } else if (strcmp(deed, "flood") == 0) {
        print_without_end(100);
        sleep(1);
    } else if (strcmp(deed, "steer") == 0) {
        fputs("log \x1b[2Jand \xc2\x9b" "31m\n", stderr);
        report->error(report->context, -1, (AnyflowStrView)ANYFLOW_TEXT("why \x1b]0;owned\x07 \xe2\x80\xae so"));
    }
}

__attribute__((constructor)) static void constructor(void) { at("load", NULL); }

static uint32_t create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    (void)id, (void)parameters;
    at("create", report);
    *instance = malloc(1);
    return *instance == NULL ? ANYFLOW_STATUS_FAILED : ANYFLOW_STATUS_OK;
}

static float *floats(const AnyflowArrayView *array) { return (float *)((char *)array->data + array->byte_offset); }

static uint32_t encode(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
                       const AnyflowReport *report) {
    (void)instance;
    at("encode", report);
    for (size_t row = 0; row < rows; row++) {
        floats(array)[row] = (float)cells[row].real;
    }
    const char *asked = getenv("ENDS");
    return asked != NULL && strcmp(asked, "encode steer") == 0 ? ANYFLOW_STATUS_FAILED : ANYFLOW_STATUS_OK;
}

static uint32_t decode(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report) {
    (void)instance;
    at("decode", report);
    for (int64_t row = 0; row < array->shape[0]; row++) {
        const AnyflowCellView cell = {.kind = ANYFLOW_CELL_KIND_F64, .real = (double)floats(array)[row]};
        report->cell(report->context, row, &cell);
    }
    return ANYFLOW_STATUS_OK;
}

static void destroy(void *instance) {
    at("destroy", NULL);
    free(instance);
}

static uint32_t init(const AnyflowHost *host) {
    (void)host;
    at("init", NULL);
    return ANYFLOW_STATUS_OK;
}

static const AnyflowCodecInterface codec = {sizeof codec, create, destroy, encode, decode};

static const void *interface_of(AnyflowStrView id) {
    at("interface", NULL);
    const char *own = ANYFLOW_CODEC_ID;
    return id.len == strlen(own) && memcmp(id.ptr, own, id.len) == 0 ? &codec : NULL;
}

ANYFLOW_PLUGIN(descriptor, init, interface_of);
