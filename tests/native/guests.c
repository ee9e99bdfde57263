/* A correct plugin with a codec `number` and a module `copy` that returns its input. With a macro, every call has one
 * forbidden side effect. */

#define _GNU_SOURCE

#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "anyflow.h"

#define PORT "{\"dtype\": \"f32\", \"axes\": [{\"name\": \"value\", \"size\": 1}]}"
ANYFLOW_DESCRIPTOR(descriptor,
    "{\"plugin\": \"guests\", \"version\": \"0.1.0\", \"abi\": " ANYFLOW_ABI_JSON ", \"license\": \"MIT\","
    " \"summary\": \"behaves badly on request\", \"libtorch\": null,"
    " \"codecs\": [{\"id\": \"number\", \"modality\": \"text\", \"summary\": \"a number\", \"cell\": \"f64\","
    "   \"feature\": \"Value(float64)\", \"array\": " PORT ", \"parameters\": {}}],"
    " \"modules\": [{\"id\": \"copy\", \"modality\": \"text\", \"summary\": \"gives back what it got\","
    "   \"interface\": \"anyflow.array/1\","
    "   \"roles\": [{\"role\": \"encode\", \"input\": " PORT ", \"output\": " PORT "},"
    "               {\"role\": \"decode\", \"input\": " PORT ", \"output\": " PORT "}],"
    "   \"parameters\": {}}]}");

__attribute__((unused)) static void *lingers(void *unused) {
    sleep(3600);
    return unused;
}

static void misbehave(const AnyflowArrayView *given) {
    (void)given;
#ifdef FLUSHES
    _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
#ifdef MOVES
    if (chdir("/") != 0) abort();
#endif
#ifdef MASKS
    umask(077);
#endif
#ifdef HANDLES
    signal(SIGUSR1, SIG_IGN);
#endif
#ifdef SPEAKS
    setlocale(LC_ALL, "C.UTF-8");
#endif
#ifdef OPENS
    if (open("/dev/null", O_RDONLY) < 0) abort();
#endif
#ifdef LINGERS
    pthread_t thread;
    if (pthread_create(&thread, NULL, lingers, NULL) != 0) abort();
    pthread_detach(thread);
#endif
#ifdef FORKS
    if (fork() == 0) _exit(0);
#endif
#ifdef PRINTS
    printf("a line that nobody asked for");
#endif
#ifdef WRITES
    if (given->shape[0] > 0) ((float *)given->data)[0] += 1.0f;
#endif
}

#ifdef BOUND
static pthread_t first;
#endif

/* An instance that knows the thread that created it. */
static uint32_t create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    (void)id;
    if (parameters.len != 2 || memcmp(parameters.ptr, "{}", 2) != 0) {
        report->error(report->context, -1, (AnyflowStrView)ANYFLOW_TEXT("there are no parameters"));
        return ANYFLOW_STATUS_INVALID;
    }
    pthread_t *own = malloc(sizeof *own);
    if (own == NULL) return ANYFLOW_STATUS_FAILED;
    *own = pthread_self();
    *instance = own;
    return ANYFLOW_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

static uint32_t module_create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report,
                              void **instance) {
#ifdef BOUND
    if (first == 0) first = pthread_self();
    if (!pthread_equal(first, pthread_self())) {
        report->error(report->context, -1, (AnyflowStrView)ANYFLOW_TEXT("not on the first thread"));
        return ANYFLOW_STATUS_FAILED;
    }
#endif
    return create(id, parameters, report, instance);
}

/* The host must destroy an instance on the thread that created it. */
static void module_destroy(void *instance) {
    if (!pthread_equal(*(pthread_t *)instance, pthread_self())) abort();
    free(instance);
}

static float *floats(const AnyflowArrayView *array) { return (float *)((char *)array->data + array->byte_offset); }

static uint32_t encode(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
                       const AnyflowReport *report) {
    (void)instance;
    for (size_t row = 0; row < rows; row++) {
        const float value = (float)cells[row].real;
        if (cells[row].kind != ANYFLOW_CELL_KIND_F64 || !isfinite(value)) {
            report->error(report->context, (int64_t)row, (AnyflowStrView)ANYFLOW_TEXT("no number that fits"));
        } else {
            floats(array)[row] = value;
        }
    }
    return ANYFLOW_STATUS_OK;
}

struct rows {
    const AnyflowArrayView *array;
    const AnyflowReport *report;
};

static void *tell(void *of) {
    const struct rows *rows = of;
    for (int64_t row = 0; row < rows->array->shape[0]; row++) {
        const AnyflowCellView cell = {.kind = ANYFLOW_CELL_KIND_F64, .real = (double)floats(rows->array)[row]};
        rows->report->cell(rows->report->context, row, &cell);
    }
    return NULL;
}

__attribute__((unused)) static void *tell_late(void *report) {
    const AnyflowReport *kept = report;
    const AnyflowCellView cell = {.kind = ANYFLOW_CELL_KIND_F64, .real = -1.0};
    usleep(100000);
    kept->cell(kept->context, 0, &cell);
    kept->error(kept->context, 0, (AnyflowStrView)ANYFLOW_TEXT("too late"));
    return NULL;
}

static uint32_t decode(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report) {
    (void)instance;
    struct rows rows = {array, report};
#ifdef LATE
    pthread_t late;
    if (pthread_create(&late, NULL, tell_late, (void *)report) != 0) abort();
    pthread_detach(late);
#endif
#ifdef ELSEWHERE
    pthread_t thread;
    if (pthread_create(&thread, NULL, tell, &rows) != 0) abort();
    pthread_join(thread, NULL);
#else
    tell(&rows);
#endif
    misbehave(array);
    return ANYFLOW_STATUS_OK;
}

static uint32_t forward(const void *instance, uint32_t role, const AnyflowArrayView *inputs, size_t n_inputs,
                        const AnyflowArrayView *outputs, size_t n_outputs, const AnyflowReport *report) {
    const int same = n_inputs == 1 && n_outputs == 1 && inputs->ndim == 2 && outputs->ndim == 2 &&
                     inputs->dtype.bits == 32 && inputs->dtype.code == 2 &&
                     memcmp(inputs->shape, outputs->shape, 2 * sizeof *inputs->shape) == 0 && inputs->shape[1] == 1;
    if (!same || (role != ANYFLOW_ROLE_ENCODE && role != ANYFLOW_ROLE_DECODE)) {
        report->error(report->context, -1, (AnyflowStrView)ANYFLOW_TEXT("not what its descriptor says"));
        return ANYFLOW_STATUS_INVALID;
    }
    if (!pthread_equal(*(const pthread_t *)instance, pthread_self())) {
        report->error(report->context, -1, (AnyflowStrView)ANYFLOW_TEXT("called on another thread than made on"));
        return ANYFLOW_STATUS_FAILED;
    }
    memcpy(floats(outputs), floats(inputs), (size_t)inputs->shape[0] * sizeof(float));
    misbehave(inputs);
    return ANYFLOW_STATUS_OK;
}

static const AnyflowCodecInterface codec = {sizeof codec, create, destroy, encode, decode};
static const AnyflowArrayInterface array = {sizeof array, module_create, module_destroy, forward};

static const void *interface_of(AnyflowStrView id) {
    const char *own[] = {ANYFLOW_CODEC_ID, ANYFLOW_ARRAY_ID};
    const void *tables[] = {&codec, &array};
    for (size_t i = 0; i < 2; i++) {
        if (id.len == strlen(own[i]) && memcmp(id.ptr, own[i], id.len) == 0) return tables[i];
    }
    return NULL;
}

extern const AnyflowEntry anyflow_entry;
const AnyflowEntry anyflow_entry = {ANYFLOW_MAGIC, ANYFLOW_ABI_MAJOR, ANYFLOW_ABI_MINOR, sizeof(AnyflowEntry),
                                    {(const uint8_t *)descriptor, sizeof descriptor - 1}, NULL, interface_of};
