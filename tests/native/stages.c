/* Wide rows, so that a shard is several micro-batches: a codec `wide`, which repeats a number 65,536 times, and a module
 * `copy`. With STAGES_MEET, calls of codec and module wait until all stages are in a call. STAGES_FAIL names the stage
 * whose fourth call fails: encode, module or decode. */

#define _POSIX_C_SOURCE 200809L

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "anyflow.h"

#define WIDTH 65536
#define PORT "{\"dtype\": \"f32\", \"axes\": [{\"name\": \"value\", \"size\": 65536}]}"

ANYFLOW_DESCRIPTOR(descriptor,
                   "{\"plugin\": \"stages\", \"version\": \"0.1.0\", \"abi\": " ANYFLOW_ABI_JSON ", \"license\": \"MIT\","
                   " \"summary\": \"wide rows\", \"libtorch\": null,"
                   " \"codecs\": [{\"id\": \"wide\", \"modality\": \"text\", \"summary\": \"a number, wide\","
                   "   \"cell\": \"f64\", \"feature\": \"Value(float64)\", \"array\": " PORT ", \"parameters\": {}}],"
                   " \"modules\": [{\"id\": \"copy\", \"modality\": \"text\", \"summary\": \"gives back what it got\","
                   "   \"interface\": \"anyflow.array/1\","
                   "   \"roles\": [{\"role\": \"encode\", \"input\": " PORT ", \"output\": " PORT "},"
                   "               {\"role\": \"decode\", \"input\": " PORT ", \"output\": " PORT "}],"
                   "   \"parameters\": {}}]}");

/* Seconds to wait for the other stages. */
#define PATIENCE 120

enum stage { ENCODE, MODULE, DECODE, STAGES };

static atomic_int calls[STAGES];
static atomic_int inside[STAGES];
static atomic_int met;

static const char *names[STAGES] = {"encode", "module", "decode"};

static uint32_t failed(const AnyflowReport *report, AnyflowStrView why) {
    report->error(report->context, -1, why);
    return ANYFLOW_STATUS_FAILED;
}

/* The end of a stage's call: from the given call on, waits until all stages are in a call. */
static uint32_t end(enum stage stage, int first_to_meet, const AnyflowReport *report) {
    int call = atomic_fetch_add(&calls[stage], 1) + 1;
    const char *fails = getenv("STAGES_FAIL");
    if (fails != NULL && strcmp(fails, names[stage]) == 0 && call == 4) {
        return failed(report, (AnyflowStrView)ANYFLOW_TEXT("asked to fail"));
    }
    if (getenv("STAGES_MEET") == NULL || call < first_to_meet) {
        return ANYFLOW_STATUS_OK;
    }
    atomic_store(&inside[stage], 1);
    time_t begin = time(NULL);
    while (!atomic_load(&met)) {
        if (atomic_load(&inside[ENCODE]) && atomic_load(&inside[MODULE]) && atomic_load(&inside[DECODE])) {
            atomic_store(&met, 1);
        }
        if (time(NULL) - begin > PATIENCE) {
            return failed(report, (AnyflowStrView)ANYFLOW_TEXT("the stages never work at the same time"));
        }
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return ANYFLOW_STATUS_OK;
}

static uint32_t create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    (void)id, (void)parameters, (void)report;
    *instance = malloc(1);
    return *instance == NULL ? ANYFLOW_STATUS_FAILED : ANYFLOW_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

static float *floats(const AnyflowArrayView *array) { return (float *)((char *)array->data + array->byte_offset); }

/* The first call is the run's look at the first cells. The third micro-batch, which is the fourth call, is the first that
 * can meet the second in the module and the first in `decode`. */
static uint32_t encode(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
                       const AnyflowReport *report) {
    (void)instance;
    for (size_t row = 0; row < rows; row++) {
        floats(array)[row * WIDTH] = (float)cells[row].real;
    }
    return end(ENCODE, 4, report);
}

static uint32_t decode(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report) {
    (void)instance;
    for (int64_t row = 0; row < array->shape[0]; row++) {
        AnyflowCellView cell = {.kind = ANYFLOW_CELL_KIND_F64, .real = (double)floats(array)[row * WIDTH]};
        report->cell(report->context, row, &cell);
    }
    return end(DECODE, 1, report);
}

/* A micro-batch is two calls: one to the latent and one back. */
static uint32_t forward(const void *instance, uint32_t role, const AnyflowArrayView *inputs, size_t n_inputs,
                        const AnyflowArrayView *outputs, size_t n_outputs, const AnyflowReport *report) {
    (void)instance, (void)role, (void)n_inputs, (void)n_outputs;
    memcpy(floats(outputs), floats(inputs), (size_t)inputs->shape[0] * WIDTH * sizeof(float));
    return end(MODULE, 3, report);
}

static const AnyflowCodecInterface codec = {sizeof codec, create, destroy, encode, decode};
static const AnyflowArrayInterface array = {sizeof array, create, destroy, forward};

static const void *interface_of(AnyflowStrView id) {
    if (id.len == strlen(ANYFLOW_CODEC_ID) && memcmp(id.ptr, ANYFLOW_CODEC_ID, id.len) == 0) {
        return &codec;
    }
    return id.len == strlen(ANYFLOW_ARRAY_ID) && memcmp(id.ptr, ANYFLOW_ARRAY_ID, id.len) == 0 ? &array : NULL;
}

ANYFLOW_PLUGIN(descriptor, NULL, interface_of);
