/* A plugin with one fault, selected by a macro. Without a macro it is correct: a codec `number` and a module `copy` that
 * returns its input. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anyflow.h"

#ifndef SCALE
#define SCALE 1.0
#endif
#ifndef SECTION_VERSION
#define SECTION_VERSION "0.1.0"
#endif
#ifndef SECTION_ABI
#define SECTION_ABI ANYFLOW_ABI_JSON
#endif
#ifndef SECTION_LIBTORCH
#define SECTION_LIBTORCH "null"
#endif

#define PORT "{\"dtype\": \"f32\", \"axes\": [{\"name\": \"value\", \"size\": 1}]}"
#define SAID(version)                                                                                              \
    "{\"plugin\": \"faults\", \"version\": \"" version "\", \"abi\": " SECTION_ABI ", \"license\": \"MIT\","       \
    " \"summary\": \"wrong on request\", \"libtorch\": " SECTION_LIBTORCH ","                                      \
    " \"codecs\": [{\"id\": \"number\", \"modality\": \"text\", \"summary\": \"a number\", \"cell\": \"f64\","   \
    "   \"feature\": \"Value(float64)\", \"array\": " PORT ", \"parameters\": {}}],"                               \
    " \"modules\": [{\"id\": \"copy\", \"modality\": \"text\", \"summary\": \"gives back what it got\","         \
    "   \"interface\": \"anyflow.array/1\","                                                                       \
    "   \"roles\": [{\"role\": \"encode\", \"input\": " PORT ", \"output\": " PORT "},"                            \
    "               {\"role\": \"decode\", \"input\": " PORT ", \"output\": " PORT "}],"                           \
    "   \"parameters\": {}}]}"

#if defined(SECTION_MISSING)
static const char descriptor[] = SAID(SECTION_VERSION);
#elif defined(SECTION_NOT_UTF8)
ANYFLOW_DESCRIPTOR(descriptor, "{\"plugin\": \"\xff\xfe\"}");
#else
ANYFLOW_DESCRIPTOR(descriptor, SAID(SECTION_VERSION));
#endif

#ifdef FUNCTION_MISSING
uint32_t not_there(void);
#endif

/* Leaves a trace when it is loaded. */
__attribute__((constructor)) static void constructor(void) {
    const char *path = getenv("FAULTS_TRACE");
    FILE *trace = path == NULL ? NULL : fopen(path, "w");
    if (trace != NULL) {
        fclose(trace);
    }
}

static uint32_t create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    (void)id, (void)parameters, (void)report;
#ifdef FUNCTION_MISSING
    not_there();
#endif
    *instance = malloc(1);
    return *instance == NULL ? ANYFLOW_STATUS_FAILED : ANYFLOW_STATUS_OK;
}

/* Counts the rows that are encoded, also in processes that are killed: one byte each in a file. */
__attribute__((unused)) static void count(size_t rows) {
    const char *path = getenv("FAULTS_COUNT");
    FILE *file = path == NULL ? NULL : fopen(path, "a");
    if (file != NULL) {
        for (size_t row = 0; row < rows; row++) fputc('.', file);
        fclose(file);
    }
}

static float *floats(const AnyflowArrayView *array) { return (float *)((char *)array->data + array->byte_offset); }

#ifdef KEEPS_CELLS
static const AnyflowCellView *kept;
#endif

__attribute__((unused))
static uint32_t encode(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
                       const AnyflowReport *report) {
    (void)instance, (void)report;
    count(rows);
    for (size_t row = 0; row < rows; row++) {
        floats(array)[row] = (float)(cells[row].real * SCALE);
    }
#ifdef KEEPS_CELLS
    if (kept != NULL && rows > 0) {
        floats(array)[0] += (float)kept->real;
    }
    kept = cells;
#endif
    return ANYFLOW_STATUS_OK;
}

/* Makes a cell a list or files, and corrupts it by the statement in the macro. */
__attribute__((unused)) static void spoil(AnyflowCellView *cell) {
    static double values[3] = {1, 2, 3};
    static uint64_t lengths[1] = {3};
    static AnyflowListView list = {sizeof list, 1, values, 3, lengths, 1};
    static AnyflowStrView files[2] = {ANYFLOW_TEXT("one"), ANYFLOW_TEXT("two")};
    (void)list, (void)files, (void)cell;
#ifdef LIST
    *cell = (AnyflowCellView){.kind = ANYFLOW_CELL_KIND_LIST, .bytes = {(const uint8_t *)&list, sizeof list}};
    LIST;
#endif
#ifdef FILES
    *cell = (AnyflowCellView){.kind = ANYFLOW_CELL_KIND_FILES, .bytes = {(const uint8_t *)files, sizeof files}};
    FILES;
#endif
}

static uint32_t decode(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report) {
    (void)instance;
#ifdef ERROR_NOWHERE
    report->error(report->context, -1, (AnyflowStrView){NULL, 5});
    return ANYFLOW_STATUS_FAILED;
#endif
#ifdef CONTEXT_WRONG
    report->error((char *)report->context + 4096, -1, (AnyflowStrView)ANYFLOW_TEXT("to nobody"));
    report->error(NULL, -1, (AnyflowStrView)ANYFLOW_TEXT("to nobody"));
#endif
#ifdef ERROR_NOT_UTF8
    report->error(report->context, -1, (AnyflowStrView)ANYFLOW_TEXT("broken \xff\xfe text"));
    return ANYFLOW_STATUS_FAILED;
#endif
#ifdef ERROR_HUGE
    report->error(report->context, -1, (AnyflowStrView){(const uint8_t *)calloc(1, 1 << 20), 1 << 20});
    return ANYFLOW_STATUS_FAILED;
#endif
#ifdef ERROR_SILENT
    return ANYFLOW_STATUS_FAILED;
#endif
    for (int64_t row = 0; row < array->shape[0]; row++) {
        AnyflowCellView cell = {.kind = ANYFLOW_CELL_KIND_F64, .real = (double)floats(array)[row]};
#ifdef CELL_HUGE
        if (row == 1) {
            cell = (AnyflowCellView){.kind = ANYFLOW_CELL_KIND_BYTES, .bytes = {(const uint8_t *)"x", (size_t)1 << 40}};
        }
#endif
#ifdef CELL_NOWHERE
        if (row == 1) {
            cell = (AnyflowCellView){.kind = ANYFLOW_CELL_KIND_BYTES, .bytes = {NULL, 5}};
        }
#endif
#ifdef CELL_UNKNOWN
        if (row == 1) {
            cell.kind = 77;
        }
#endif
        if (row == 1) {
            spoil(&cell);
        }
#ifdef CELL_MISALIGNED
        if (row == 1) {
            report->cell(report->context, row, (const AnyflowCellView *)((const char *)&cell + 1));
            continue;
        }
#endif
#ifdef CELL_FORGOTTEN
        if (row == 1) {
            continue;
        }
#endif
#ifdef CELL_NULL
        if (row == 1) {
            report->cell(report->context, row, NULL);
            continue;
        }
#endif
        report->cell(report->context, row, &cell);
    }
#ifdef ROW_UNKNOWN
    const AnyflowCellView stray = {.kind = ANYFLOW_CELL_KIND_F64, .real = 7.0};
    report->cell(report->context, 99, &stray);
    report->cell(report->context, -5, &stray);
    report->error(report->context, 99, (AnyflowStrView)ANYFLOW_TEXT("there is no such row"));
#endif
    return ANYFLOW_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

static uint32_t forward(const void *instance, uint32_t role, const AnyflowArrayView *inputs, size_t n_inputs,
                        const AnyflowArrayView *outputs, size_t n_outputs, const AnyflowReport *report) {
    (void)instance, (void)role, (void)n_inputs, (void)n_outputs, (void)report;
    memcpy(floats(outputs), floats(inputs), (size_t)inputs->shape[0] * sizeof(float));
    return ANYFLOW_STATUS_OK;
}

#ifdef TABLE_CUT
#define TABLE_SIZE(table) 16
#else
#define TABLE_SIZE(table) sizeof(table)
#endif

#ifdef FUNCTION_NULL
#define ENCODE NULL
#else
#define ENCODE encode
#endif

static const AnyflowCodecInterface codec = {TABLE_SIZE(AnyflowCodecInterface), create, destroy, ENCODE, decode};
static const AnyflowArrayInterface array = {TABLE_SIZE(AnyflowArrayInterface), create, destroy, forward};
#ifdef CODE_LIBTORCH
#ifdef LIBTORCH_NOWHERE
static const AnyflowTorchInterface torch = {sizeof torch, {NULL, 5}, NULL, NULL, NULL, NULL};
#else
static const AnyflowTorchInterface torch = {sizeof torch, ANYFLOW_TEXT(CODE_LIBTORCH), NULL, NULL, NULL, NULL};
#endif
#endif

static const void *interface_of(AnyflowStrView id) {
    const char *own[] = {ANYFLOW_CODEC_ID, ANYFLOW_ARRAY_ID, ANYFLOW_TORCH_ID};
    const void *tables[] = {&codec, &array, NULL};
#ifdef CODE_LIBTORCH
    tables[2] = &torch;
#endif
    for (size_t i = 0; i < 3; i++) {
        if (id.len == strlen(own[i]) && memcmp(id.ptr, own[i], id.len) == 0) {
#ifdef TABLE_MISALIGNED
            return (const char *)tables[i] + 4;
#endif
            return tables[i];
        }
    }
    return NULL;
}

static uint32_t init(const AnyflowHost *host) {
    (void)host;
#ifdef INIT_REFUSES
    return ANYFLOW_STATUS_FAILED;
#endif
    return ANYFLOW_STATUS_OK;
}

#ifdef CODE_TELLS_OTHERWISE
static const char told[] = SAID("0.2.0");
#else
#define told descriptor
#endif
#ifndef CODE_MAGIC
#define CODE_MAGIC ANYFLOW_MAGIC
#endif
#ifndef CODE_MAJOR
#define CODE_MAJOR ANYFLOW_ABI_MAJOR
#endif
#ifdef ENTRY_CUT
#define ENTRY_SIZE 40
#else
#define ENTRY_SIZE sizeof(AnyflowEntry)
#endif
#ifdef TOLD_NOWHERE
#define TOLD {NULL, 5}
#else
#define TOLD {(const uint8_t *)told, sizeof told - 1}
#endif
#ifdef SYMBOL_MISSING
#define anyflow_entry anyflow_entry_of_another_name
#endif

extern const AnyflowEntry anyflow_entry;
const AnyflowEntry anyflow_entry = {CODE_MAGIC,   CODE_MAJOR,   ANYFLOW_ABI_MINOR,
                                    ENTRY_SIZE,   TOLD,
                                    init,         interface_of};
