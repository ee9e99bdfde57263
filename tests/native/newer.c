/* A plugin of a possible later minor of the ABI: its structs are larger, and its descriptor has unknown fields and an
 * unknown interface. */

#include <stdlib.h>
#include <string.h>

#include "anyflow.h"

#define PORT "{\"dtype\": \"f32\", \"axes\": [{\"name\": \"value\", \"size\": 1, \"unit\": \"metre\"}], \"mean\": 0}"

ANYFLOW_DESCRIPTOR(
    descriptor,
    "{\"plugin\": \"newer\", \"version\": \"3.0.0\", \"abi\": [1, 99], \"license\": \"MIT\", \"summary\": \"of ABI 1.99\","
    " \"homepage\": \"nowhere\", \"codecs\": [{\"id\": \"tripled\", \"modality\": \"number\","
    " \"summary\": \"three times a number\", \"cell\": \"f64\", \"feature\": \"Value(float64)\", \"array\": " PORT ","
    " \"parameters\": {}, \"lossless\": true}], \"modules\": [{\"id\": \"remote\", \"modality\": \"number\","
    " \"interface\": \"anyflow.remote/1\", \"summary\": \"computes elsewhere\", \"roles\": [{\"role\": \"encode\","
    " \"input\": " PORT ", \"output\": " PORT "}, {\"role\": \"decode\", \"input\": " PORT ", \"output\": " PORT "},"
    " {\"role\": \"dream\", \"of\": 1}],"
    " \"parameters\": {}}]}");

static uint32_t create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    (void)id, (void)parameters, (void)report;
    *instance = malloc(1);
    return ANYFLOW_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

static uint32_t encode(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
                       const AnyflowReport *report) {
    (void)instance, (void)report;
    for (size_t row = 0; row < rows; row++) {
        ((float *)array->data)[row] = 3.0f * (float)cells[row].real;
    }
    return ANYFLOW_STATUS_OK;
}

static uint32_t decode(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report) {
    (void)instance;
    for (int64_t row = 0; row < array->shape[0]; row++) {
        const AnyflowCellView cell = {.kind = ANYFLOW_CELL_KIND_F64, .real = ((float *)array->data)[row] / 3.0};
        report->cell(report->context, row, &cell);
    }
    return ANYFLOW_STATUS_OK;
}

static void never(void) { abort(); }

static const struct {
    AnyflowCodecInterface known;
    void (*later[4])(void);
} codec = {{sizeof codec, create, destroy, encode, decode}, {never, never, never, never}};

static const void *interface_of(AnyflowStrView id) {
    return id.len == strlen(ANYFLOW_CODEC_ID) && memcmp(id.ptr, ANYFLOW_CODEC_ID, id.len) == 0 ? &codec : NULL;
}

typedef struct LaterEntry {
    AnyflowEntry known;
    void (*later[4])(void);
} LaterEntry;

extern const LaterEntry anyflow_entry;
const LaterEntry anyflow_entry = {
    {ANYFLOW_MAGIC, ANYFLOW_ABI_MAJOR, 99, sizeof(LaterEntry), {(const uint8_t *)descriptor, sizeof descriptor - 1}, NULL,
     interface_of},
    {never, never, never, never}};
