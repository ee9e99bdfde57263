/* A codec of numbers and a module that returns its input. The macro SCALE changes the code under the same name and version;
 * PAUSE_US slows down each call of the codec. A cell of the value POISON ends the process, one of the value ENDLESS never
 * returns. */

#define _DEFAULT_SOURCE

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "anyflow.h"

#ifndef SCALE
#define SCALE 1.0
#endif
#ifndef PAUSE_US
#define PAUSE_US 0
#endif

#define PORT "{\"dtype\": \"f32\", \"axes\": [{\"name\": \"value\", \"size\": 1}]}"
ANYFLOW_DESCRIPTOR(descriptor,
    "{\"plugin\": \"scaled\", \"version\": \"0.1.0\", \"abi\": " ANYFLOW_ABI_JSON ", \"license\": \"MIT\","
    " \"summary\": \"numbers, scaled\", \"libtorch\": null,"
    " \"codecs\": [{\"id\": \"number\", \"modality\": \"number\", \"summary\": \"a number\", \"cell\": \"f64\","
    "   \"feature\": \"Value(float64)\", \"array\": " PORT ", \"parameters\": {}}],"
    " \"modules\": [{\"id\": \"copy\", \"modality\": \"number\", \"summary\": \"gives back what it got\","
    "   \"interface\": \"anyflow.array/1\","
    "   \"roles\": [{\"role\": \"encode\", \"input\": " PORT ", \"output\": " PORT "},"
    "               {\"role\": \"decode\", \"input\": " PORT ", \"output\": " PORT "}], \"parameters\": {}}]}");

static uint32_t create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    (void)id, (void)parameters, (void)report;
    *instance = malloc(1);
    return *instance == NULL ? ANYFLOW_STATUS_FAILED : ANYFLOW_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

static float *floats(const AnyflowArrayView *array) { return (float *)((char *)array->data + array->byte_offset); }

static uint32_t encode(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
                       const AnyflowReport *report) {
    (void)instance, (void)report;
    for (size_t row = 0; row < rows; row++) {
#ifdef POISON
        if (cells[row].real == POISON) abort();
#endif
#ifdef ENDLESS
        while (cells[row].real == ENDLESS) pause();
#endif
        floats(array)[row] = (float)(cells[row].real * SCALE);
    }
    usleep(PAUSE_US);
    return ANYFLOW_STATUS_OK;
}

static uint32_t decode(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report) {
    (void)instance;
    for (int64_t row = 0; row < array->shape[0]; row++) {
        AnyflowCellView cell = {.kind = ANYFLOW_CELL_KIND_F64, .real = (double)floats(array)[row]};
        report->cell(report->context, row, &cell);
    }
    return ANYFLOW_STATUS_OK;
}

static uint32_t forward(const void *instance, uint32_t role, const AnyflowArrayView *inputs, size_t n_inputs,
                        const AnyflowArrayView *outputs, size_t n_outputs, const AnyflowReport *report) {
    (void)instance, (void)role, (void)n_inputs, (void)n_outputs, (void)report;
    memcpy(floats(outputs), floats(inputs), (size_t)inputs->shape[0] * sizeof(float));
    return ANYFLOW_STATUS_OK;
}

static const AnyflowCodecInterface codec = {sizeof codec, create, destroy, encode, decode};
static const AnyflowArrayInterface array = {sizeof array, create, destroy, forward};

static const void *interface_of(AnyflowStrView id) {
    if (id.len == strlen(ANYFLOW_CODEC_ID) && memcmp(id.ptr, ANYFLOW_CODEC_ID, id.len) == 0) {
        return &codec;
    }
    if (id.len == strlen(ANYFLOW_ARRAY_ID) && memcmp(id.ptr, ANYFLOW_ARRAY_ID, id.len) == 0) {
        return &array;
    }
    return NULL;
}

static uint32_t init(const AnyflowHost *host) {
    (void)host;
    return ANYFLOW_STATUS_OK;
}

extern const AnyflowEntry anyflow_entry;
const AnyflowEntry anyflow_entry = {ANYFLOW_MAGIC,  ANYFLOW_ABI_MAJOR, ANYFLOW_ABI_MINOR,
                                    sizeof(AnyflowEntry), {(const uint8_t *)descriptor, sizeof descriptor - 1},
                                    init,           interface_of};
