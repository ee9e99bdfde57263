/* A plugin as it was written for ABI 1.0. Neither it nor the header beside it may ever change: it stands for the binaries
 * that people have. */

#include <stdlib.h>
#include <string.h>

#include "anyflow.h"

ANYFLOW_DESCRIPTOR(
    descriptor,
    "{\"plugin\":\"older\",\"version\":\"1.0.0\",\"abi\":[1,0],\"license\":\"MIT\",\"summary\":\"of ABI 1.0\","
    "\"libtorch\":null,\"codecs\":[{\"id\":\"doubled\",\"modality\":\"number\",\"summary\":\"twice a number\","
    "\"cell\":\"f64\",\"feature\":\"Value(float64)\",\"array\":{\"dtype\":\"f32\",\"axes\":[{\"name\":\"value\","
    "\"size\":1}]},\"parameters\":{}}],\"modules\":[]}");

static const AnyflowHost *host_of_init;

static uint32_t init(const AnyflowHost *host) {
    host_of_init = host;
    return host->struct_size >= sizeof(AnyflowHost) ? ANYFLOW_STATUS_OK : ANYFLOW_STATUS_FAILED;
}

static uint32_t create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    (void)id, (void)parameters;
    if (report->struct_size < sizeof(AnyflowReport) || host_of_init == NULL) {
        return ANYFLOW_STATUS_FAILED;
    }
    *instance = malloc(1);
    return ANYFLOW_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

static uint32_t encode(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
                       const AnyflowReport *report) {
    (void)instance;
    for (size_t row = 0; row < rows; row++) {
        if (cells[row].kind == ANYFLOW_CELL_KIND_F64) {
            ((float *)array->data)[row] = 2.0f * (float)cells[row].real;
        } else {
            report->error(report->context, (int64_t)row, (AnyflowStrView)ANYFLOW_TEXT("no real number"));
        }
    }
    return ANYFLOW_STATUS_OK;
}

static uint32_t decode(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report) {
    (void)instance;
    for (int64_t row = 0; row < array->shape[0]; row++) {
        const AnyflowCellView cell = {ANYFLOW_CELL_KIND_F64, {NULL, 0}, 0, ((float *)array->data)[row] / 2.0};
        report->cell(report->context, row, &cell);
    }
    return ANYFLOW_STATUS_OK;
}

static const AnyflowCodecInterface codec = {sizeof(AnyflowCodecInterface), create, destroy, encode, decode};

static const void *interface_of(AnyflowStrView id) {
    return id.len == strlen(ANYFLOW_CODEC_ID) && memcmp(id.ptr, ANYFLOW_CODEC_ID, id.len) == 0 ? &codec : NULL;
}

ANYFLOW_PLUGIN(descriptor, init, interface_of);
