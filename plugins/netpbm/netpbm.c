/* The plugin `netpbm` in plain C11: grey images as Netpbm files, and a module that shrinks and enlarges them.
 *
 * It needs anyflow.h and libc, and no libtorch:
 *
 *     cc -std=c11 -O2 -shared -fPIC -I core/abi/include plugins/netpbm/netpbm.c -o libanyflow_netpbm.so
 *
 * Put the library into a folder that ANYFLOW_PLUGINS lists.
 *
 * codec `gray`      bytes of a PGM file (P5 or P2) <-> f32 [channel 1, height, width] in [-1, 1]; decodes to P5
 * module `pyramid`  encode: average of squares of `factor` by `factor` elements; decode: bilinear, or nearest
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anyflow.h"

#define SIZE "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 4096}"
#define SHRUNK "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 4096, \"examples\": [4]}"
#define CHANNEL "{\"name\": \"channel\", \"size\": 1}"
#define LARGE "[" CHANNEL ", {\"name\": \"height\", \"size\": \"height\"}, {\"name\": \"width\", \"size\": \"width\"}]"
#define SMALL "[" CHANNEL ", {\"name\": \"rows\", \"size\": \"rows\"}, {\"name\": \"columns\", \"size\": \"columns\"}]"
#define PORT(axes) "{\"dtype\": \"f32\", \"axes\": " axes ", \"range\": [-1, 1]}"

ANYFLOW_DESCRIPTOR(
    descriptor,
    "{\"plugin\": \"netpbm\", \"version\": \"0.1.0\", \"abi\": " ANYFLOW_ABI_JSON ", \"license\": \"MIT OR Apache-2.0\","
    " \"summary\": \"grey images as Netpbm files, in C\", \"libtorch\": null,"
    " \"codecs\": [{\"id\": \"gray\", \"modality\": \"image\", \"summary\": \"PGM files <-> grey images\","
    "  \"cell\": \"bytes\", \"feature\": \"Image\", \"array\": " PORT(LARGE) ","
    "  \"parameters\": {\"height\": " SIZE ", \"width\": " SIZE "}}],"
    " \"modules\": [{\"id\": \"pyramid\", \"modality\": \"image\", \"interface\": \"" ANYFLOW_ARRAY_ID "\","
    "  \"summary\": \"averages of squares <-> interpolation between them\","
    "  \"roles\": [{\"role\": \"encode\", \"input\": " PORT(LARGE) ", \"output\": " PORT(SMALL) "},"
    "             {\"role\": \"decode\", \"input\": " PORT(SMALL) ", \"output\": " PORT(LARGE) "}],"
    "  \"parameters\": {\"height\": " SIZE ", \"width\": " SIZE ", \"rows\": " SHRUNK ", \"columns\": " SHRUNK ","
    "   \"factor\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 64, \"default\": 2},"
    "   \"decode\": {\"enum\": [\"bilinear\", \"nearest\"], \"default\": \"bilinear\"}}}]}");

/* ---- Reports ---- */

/* Reports an error for a row, or for the whole call if `row` is -1. */
__attribute__((format(printf, 3, 4))) static void fail(const AnyflowReport *report, int64_t row, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (report != NULL && report->error != NULL && length > 0) {
        const size_t kept = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
        report->error(report->context, row, (AnyflowStrView){(const uint8_t *)text, kept});
    }
}

static bool is_text(AnyflowStrView view, const char *text) {
    return view.len == strlen(text) && memcmp(view.ptr, text, view.len) == 0;
}

/* ---- Parameters ---- */

/* The value of a key of a flat JSON object without escapes, or NULL. The host passes such an object, because the
 * descriptor declares integers and enums only. */
static const char *value_of(const char *json, const char *key) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    for (const char *at = strstr(json, quoted); at != NULL; at = strstr(at + 1, quoted)) {
        const char *after = at + strlen(quoted);
        after += strspn(after, " \t\r\n");
        if (*after == ':') {
            return after + 1 + strspn(after + 1, " \t\r\n");
        }
    }
    return NULL;
}

/* The value of a key if it is an integer from 1 to 4096, else 0. */
static int64_t size_of(const char *json, const char *key) {
    const char *value = value_of(json, key);
    const long size = value == NULL ? 0 : strtol(value, NULL, 10);
    return size >= 1 && size <= 4096 ? size : 0;
}

/* A zero-terminated copy of the host's text; the caller frees it. */
static char *copied(AnyflowStrView view) {
    char *text = malloc(view.len + 1);
    if (text != NULL) {
        memcpy(text, view.ptr, view.len);
        text[view.len] = '\0';
    }
    return text;
}

/* ---- The codec `gray` ---- */

typedef struct Gray {
    int64_t height, width;
} Gray;

static uint32_t gray_create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    if (!is_text(id, "gray")) {
        fail(report, -1, "no such codec");
        return ANYFLOW_STATUS_UNSUPPORTED;
    }
    char *json = copied(parameters);
    Gray *gray = malloc(sizeof *gray);
    if (json == NULL || gray == NULL) {
        free(json);
        free(gray);
        fail(report, -1, "out of memory");
        return ANYFLOW_STATUS_FAILED;
    }
    *gray = (Gray){size_of(json, "height"), size_of(json, "width")};
    free(json);
    if (gray->height == 0 || gray->width == 0) {
        free(gray);
        fail(report, -1, "parameters: height and width must be integers from 1 to 4096");
        return ANYFLOW_STATUS_INVALID;
    }
    *instance = gray;
    return ANYFLOW_STATUS_OK;
}

static void any_destroy(void *instance) {
    free(instance);
}

/* The bytes that are not read yet. */
typedef struct Reader {
    const uint8_t *at, *end;
} Reader;

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* The next number after white space and comments; -1 if there is none or it exceeds 65535. */
static int32_t number(Reader *reader) {
    while (reader->at < reader->end && (is_space(*reader->at) || *reader->at == '#')) {
        const bool comment = *reader->at == '#';
        while (comment && reader->at < reader->end && *reader->at != '\n') {
            reader->at++;
        }
        if (reader->at < reader->end) {
            reader->at++;
        }
    }
    int32_t value = -1;
    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++) {
        value = (value < 0 ? 0 : value) * 10 + (*reader->at - '0');
        if (value > 65535) {
            return -1;
        }
    }
    return value;
}

/* The next sample: a decimal number in P2, one or two bytes in P5; -1 if there is none. */
static int32_t sample(Reader *reader, bool plain, int32_t largest) {
    const ptrdiff_t bytes = largest > 255 ? 2 : 1;
    if (plain) {
        return number(reader);
    }
    if (reader->end - reader->at < bytes) {
        return -1;
    }
    int32_t value = *reader->at++;
    if (bytes == 2) {
        value = value * 256 + *reader->at++;
    }
    return value;
}

/* Reads an image into `elements`; reports errors for its row. */
static void read_image(const Gray *gray, AnyflowStrView bytes, float *elements, int64_t row, const AnyflowReport *report) {
    if (bytes.len < 2 || bytes.ptr[0] != 'P' || (bytes.ptr[1] != '5' && bytes.ptr[1] != '2')) {
        fail(report, row, "not a PGM file: it does not start with P5 or P2");
        return;
    }
    const bool plain = bytes.ptr[1] == '2';
    Reader reader = {bytes.ptr + 2, bytes.ptr + bytes.len};
    const int32_t width = number(&reader), height = number(&reader), largest = number(&reader);
    if (width < 1 || height < 1 || largest < 1) {
        fail(report, row, "the header of the PGM file is damaged");
        return;
    }
    if (height != gray->height || width != gray->width) {
        fail(report, row, "the image is %d x %d (height x width), but the codec takes %d x %d", (int)height, (int)width,
             (int)gray->height, (int)gray->width);
        return;
    }
    reader.at += !plain && reader.at < reader.end; /* the single space between header and samples */
    for (int64_t i = 0; i < gray->height * gray->width; i++) {
        const int32_t value = sample(&reader, plain, largest);
        if (value < 0 || value > largest) {
            memset(elements, 0, (size_t)i * sizeof *elements);
            fail(report, row, value < 0 ? "the PGM file is truncated" : "a sample of the PGM file is above its maximum");
            return;
        }
        elements[i] = 2.0f * (float)value / (float)largest - 1.0f;
    }
}

/* True if an array matches the descriptor: dense host floats `[row, channel 1, height, width]`. */
static bool is_images(const AnyflowArrayView *array, int64_t height, int64_t width) {
    return array->device.kind == 1 && array->strides == NULL && array->ndim == 4 &&
           array->dtype.code == ANYFLOW_DTYPE_F32.code && array->dtype.bits == ANYFLOW_DTYPE_F32.bits &&
           array->shape[0] >= 0 && array->shape[1] == 1 && array->shape[2] == height && array->shape[3] == width;
}

static float *elements_of(const AnyflowArrayView *array) {
    return (float *)((char *)array->data + array->byte_offset);
}

static uint32_t gray_encode(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
                            const AnyflowReport *report) {
    const Gray *gray = instance;
    if (!is_images(array, gray->height, gray->width) || (size_t)array->shape[0] != rows) {
        fail(report, -1, "the array does not have the shape of the descriptor");
        return ANYFLOW_STATUS_INVALID;
    }
    for (size_t row = 0; row < rows; row++) {
        if (cells[row].kind == ANYFLOW_CELL_KIND_BYTES) {
            float *elements = elements_of(array) + (int64_t)row * gray->height * gray->width;
            read_image(gray, cells[row].bytes, elements, (int64_t)row, report);
        } else {
            const bool null = cells[row].kind == ANYFLOW_CELL_KIND_NULL;
            fail(report, (int64_t)row, null ? "the cell is null" : "the cell does not hold bytes");
        }
    }
    return ANYFLOW_STATUS_OK;
}

/* Writes an image as P5 into `file`, which is large enough; -1 if an element is NaN. */
static int64_t write_image(const Gray *gray, const float *elements, uint8_t *file, size_t room) {
    const int head = snprintf((char *)file, room, "P5\n%d %d\n255\n", (int)gray->width, (int)gray->height);
    for (int64_t i = 0; i < gray->height * gray->width; i++) {
        const float level = (elements[i] + 1.0f) * 127.5f;
        if (level != level) {
            return -1;
        }
        file[head + i] = (uint8_t)(level <= 0.0f ? 0.0f : level >= 255.0f ? 255.0f : level + 0.5f);
    }
    return head + gray->height * gray->width;
}

static uint32_t gray_decode(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report) {
    const Gray *gray = instance;
    if (!is_images(array, gray->height, gray->width)) {
        fail(report, -1, "the array does not have the shape of the descriptor");
        return ANYFLOW_STATUS_INVALID;
    }
    const size_t room = (size_t)(gray->height * gray->width) + 32;
    uint8_t *file = malloc(room);
    if (file == NULL) {
        fail(report, -1, "out of memory");
        return ANYFLOW_STATUS_FAILED;
    }
    for (int64_t row = 0; row < array->shape[0]; row++) {
        const int64_t length = write_image(gray, elements_of(array) + row * gray->height * gray->width, file, room);
        if (length < 0) {
            fail(report, row, "the image holds NaN");
        } else if (report->cell != NULL) {
            const AnyflowCellView cell = {.kind = ANYFLOW_CELL_KIND_BYTES, .bytes = {file, (size_t)length}};
            report->cell(report->context, row, &cell);
        }
    }
    free(file);
    return ANYFLOW_STATUS_OK;
}

/* ---- The module `pyramid` ---- */

typedef struct Pyramid {
    int64_t height, width, rows, columns, factor;
    bool nearest;
} Pyramid;

static uint32_t pyramid_create(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance) {
    if (!is_text(id, "pyramid")) {
        fail(report, -1, "no such module");
        return ANYFLOW_STATUS_UNSUPPORTED;
    }
    char *json = copied(parameters);
    Pyramid *pyramid = malloc(sizeof *pyramid);
    if (json == NULL || pyramid == NULL) {
        free(json);
        free(pyramid);
        fail(report, -1, "out of memory");
        return ANYFLOW_STATUS_FAILED;
    }
    const char *decode = value_of(json, "decode");
    *pyramid = (Pyramid){size_of(json, "height"), size_of(json, "width"), size_of(json, "rows"), size_of(json, "columns"),
                         size_of(json, "factor"), decode != NULL && strncmp(decode, "\"nearest\"", 9) == 0};
    free(json);
    const Pyramid p = *pyramid;
    if (p.factor == 0 || p.rows == 0 || p.columns == 0 || p.height != p.rows * p.factor || p.width != p.columns * p.factor) {
        free(pyramid);
        fail(report, -1, "parameters: %d x %d is not %d times %d x %d", (int)p.height, (int)p.width, (int)p.factor,
             (int)p.rows, (int)p.columns);
        return ANYFLOW_STATUS_INVALID;
    }
    *instance = pyramid;
    return ANYFLOW_STATUS_OK;
}

/* Shrinks an image: averages each square of `factor` by `factor` elements. */
static void shrink(const Pyramid *p, const float *large, float *small) {
    const float area = (float)(p->factor * p->factor);
    for (int64_t y = 0; y < p->rows; y++) {
        for (int64_t x = 0; x < p->columns; x++) {
            float sum = 0.0f;
            for (int64_t i = 0; i < p->factor * p->factor; i++) {
                sum += large[(y * p->factor + i / p->factor) * p->width + x * p->factor + i % p->factor];
            }
            small[y * p->columns + x] = sum / area;
        }
    }
}

/* The two elements of the small axis around an element of the large one. Their centres are `factor` apart. */
typedef struct Between {
    int64_t low, high;
    float share; /* the weight of `high` */
} Between;

static Between between(int64_t at, int64_t factor, int64_t size, bool nearest) {
    if (nearest) {
        return (Between){at / factor, at / factor, 0.0f};
    }
    const float position = ((float)at + 0.5f) / (float)factor - 0.5f;
    if (position <= 0.0f) {
        return (Between){0, 0, 0.0f};
    }
    const int64_t low = (int64_t)position;
    return low + 1 >= size ? (Between){size - 1, size - 1, 0.0f} : (Between){low, low + 1, position - (float)low};
}

/* Enlarges an image. */
static void enlarge(const Pyramid *p, const float *small, float *large) {
    for (int64_t y = 0; y < p->height; y++) {
        const Between v = between(y, p->factor, p->rows, p->nearest);
        const float *upper = small + v.low * p->columns, *lower = small + v.high * p->columns;
        for (int64_t x = 0; x < p->width; x++) {
            const Between h = between(x, p->factor, p->columns, p->nearest);
            const float top = upper[h.low] + h.share * (upper[h.high] - upper[h.low]);
            const float bottom = lower[h.low] + h.share * (lower[h.high] - lower[h.low]);
            large[y * p->width + x] = top + v.share * (bottom - top);
        }
    }
}

static uint32_t pyramid_forward(const void *instance, uint32_t role, const AnyflowArrayView *inputs, size_t n_inputs,
                                const AnyflowArrayView *outputs, size_t n_outputs, const AnyflowReport *report) {
    const Pyramid *p = instance;
    if (n_inputs != 1 || n_outputs != 1 || (role != ANYFLOW_ROLE_ENCODE && role != ANYFLOW_ROLE_DECODE)) {
        fail(report, -1, "the module encodes and decodes one array");
        return ANYFLOW_STATUS_UNSUPPORTED;
    }
    const bool encode = role == ANYFLOW_ROLE_ENCODE;
    const AnyflowArrayView *large = encode ? inputs : outputs, *small = encode ? outputs : inputs;
    if (!is_images(large, p->height, p->width) || !is_images(small, p->rows, p->columns) ||
        large->shape[0] != small->shape[0]) {
        fail(report, -1, "the arrays do not have the shapes of the descriptor");
        return ANYFLOW_STATUS_INVALID;
    }
    for (int64_t row = 0; row < large->shape[0]; row++) {
        float *of_large = elements_of(large) + row * p->height * p->width;
        float *of_small = elements_of(small) + row * p->rows * p->columns;
        encode ? shrink(p, of_large, of_small) : enlarge(p, of_small, of_large);
    }
    return ANYFLOW_STATUS_OK;
}

/* ---- The plugin ---- */

static const AnyflowCodecInterface codec = {sizeof(AnyflowCodecInterface), gray_create, any_destroy, gray_encode,
                                            gray_decode};
static const AnyflowArrayInterface array = {sizeof(AnyflowArrayInterface), pyramid_create, any_destroy, pyramid_forward};

static const void *interface_of(AnyflowStrView id) {
    if (is_text(id, ANYFLOW_CODEC_ID)) {
        return &codec;
    }
    return is_text(id, ANYFLOW_ARRAY_ID) ? &array : NULL;
}

ANYFLOW_PLUGIN(descriptor, NULL, interface_of);
