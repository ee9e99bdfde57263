/* The plugin ABI: plain C structs and constants, nothing else. Host and plugin compile this crate, or include
 * `anyflow.h`, which `cargo xtask header` generates from it. They share no other type.
 *
 * # Rules
 *
 * - A plugin exports one static, ANYFLOW_ENTRY_SYMBOL, and carries its descriptor as JSON in the section
 *   ANYFLOW_SECTION of its library file, so that a host can read it without running code.
 * - Structs start with their size and only grow at the end. A reader uses no field beyond that size.
 * - ANYFLOW_ABI_MAJOR changes when old binaries become incompatible, ANYFLOW_ABI_MINOR with every addition. Both are
 *   independent of the product's version.
 * - On another major, only AnyflowEntry.magic, AnyflowEntry.abi_major and AnyflowEntry.abi_minor may be read.
 * - Features are interfaces, requested by id: ANYFLOW_CODEC_ID, ANYFLOW_TORCH_ID, ANYFLOW_DRY_ID, ANYFLOW_ARRAY_ID.
 * - A null function in a table is one that its owner does not have.
 * - No panic and no C++ exception crosses the ABI: it becomes a ANYFLOW_STATUS_* and a text.
 * - Libraries are never unloaded.
 *
 * # Thread roles
 *
 * `[main]` one thread, set-up and tear-down · `[worker]` any of several threads, several calls at the same time ·
 * `[compute]` the single thread of an instance: its `create`, all its calls and its `destroy` · `[any]` any thread.
 *
 * # Lifetimes
 *
 * A pointer argument is valid until the call returns, unless its documentation says otherwise. The host copies a
 * plugin's reports before the callback returns. Memory in arguments belongs to the host: a plugin writes to it only if
 * the documentation says so.
 *
 * # Manners
 *
 * A plugin is a guest of the process. Every call leaves the thread and the process as they were: floating-point
 * environment (linking with `-ffast-math` changes it), libtorch's modes and settings, current folder, umask, signal
 * handlers and locale. It leaves no open file, thread or child process, and writes nothing to standard output. Plugins
 * report messages through the host's `log`.
 */
/* This file is made of core/abi by `cargo xtask header`. It is C11 and C++17. */

#ifndef ANYFLOW_H
#define ANYFLOW_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed views of strings, cells and arrays. */

/* UTF-8 text or raw bytes, borrowed. */
typedef struct AnyflowStrView {
    /* First byte; may be null if `len` is 0. */
    const uint8_t *ptr;
    /* Number of bytes. */
    size_t len;
} AnyflowStrView;

/* One raw value of a column, borrowed. */
typedef struct AnyflowCellView {
    /* One of ANYFLOW_CELL_KIND_*. */
    uint32_t kind;
    /* Payload of `BYTES` and `UTF8`; for `LIST` the bytes of a AnyflowListView, for `FILES` those of an array of
     * AnyflowStrView, aligned as those structs are.
     */
    AnyflowStrView bytes;
    /* Payload of `I64`. */
    int64_t integer;
    /* Payload of `F64`. */
    double real;
} AnyflowCellView;

/* The device of an array, as in DLPack. */
typedef struct AnyflowDevice {
    /* 1 for host memory, 2 for CUDA. */
    int32_t kind;
    /* The device's index. */
    int32_t id;
} AnyflowDevice;

/* Element type, as in DLPack. */
typedef struct AnyflowDataType {
    /* 0 signed integer, 1 unsigned integer, 2 IEEE float, 4 bfloat. */
    uint8_t code;
    /* Bits of an element. */
    uint8_t bits;
    /* Always 1. */
    uint16_t lanes;
} AnyflowDataType;

/* A dense array in the layout of DLPack's `DLTensor`. Row-major if `strides` is null; the host always
 * passes null.
 */
typedef struct AnyflowArrayView {
    /* Base address; the first element is `byte_offset` bytes behind it. */
    void *data;
    /* The device of `data`. */
    AnyflowDevice device;
    /* Number of axes. */
    int32_t ndim;
    /* Element type. */
    AnyflowDataType dtype;
    /* `ndim` sizes. */
    const int64_t *shape;
    /* Null, or `ndim` strides in elements. */
    const int64_t *strides;
    /* Offset of the first element from `data`. */
    uint64_t byte_offset;
} AnyflowArrayView;

/* Values of AnyflowCellView.kind. */

/* No value. */
#define ANYFLOW_CELL_KIND_NULL 0u

/* Encoded bytes of a file, in `bytes`. */
#define ANYFLOW_CELL_KIND_BYTES 1u

/* UTF-8 text, in `bytes`. */
#define ANYFLOW_CELL_KIND_UTF8 2u

/* An integer, in `integer`. */
#define ANYFLOW_CELL_KIND_I64 3u

/* A real number, in `real`. */
#define ANYFLOW_CELL_KIND_F64 4u

/* Numbers in nested lists; `bytes` holds one AnyflowListView(crate::ListView). Since ABI 1.2. */
#define ANYFLOW_CELL_KIND_LIST 5u

/* Encoded bytes of files, in order; `bytes` holds one AnyflowStrView(crate::StrView) for each. Since ABI 1.3. */
#define ANYFLOW_CELL_KIND_FILES 6u

/* The element types of arrays. */

/* 32-bit float. */
static const AnyflowDataType ANYFLOW_DTYPE_F32 = {2, 32, 1};

/* 64-bit integer. */
static const AnyflowDataType ANYFLOW_DTYPE_I64 = {0, 64, 1};

/* Byte. */
static const AnyflowDataType ANYFLOW_DTYPE_U8 = {1, 8, 1};

/* The exported static, and the two tables that a host passes to a plugin. */

/* First field of every entry. */
#define ANYFLOW_MAGIC UINT64_C(0x00574f4c46594e41)

/* Changes when old binaries become incompatible. */
#define ANYFLOW_ABI_MAJOR 1

/* Grows with every addition. */
#define ANYFLOW_ABI_MINOR 6

/* Name of the exported static, of type AnyflowEntry. */
#define ANYFLOW_ENTRY_SYMBOL "anyflow_entry"

/* Section of the library file that holds the descriptor: JSON with nothing before it and only zero bytes after it. */
#define ANYFLOW_SECTION ".anyflow"

/* The host's functions for plugins, valid for the life of the process. */
typedef struct AnyflowHost {
    /* Size of this struct as the host knows it. */
    uint32_t struct_size;
    /* ANYFLOW_ABI_MINOR of the host. */
    uint32_t abi_minor;
    /* `[any]` Logs a line; level 1 error, 2 warning, 3 info, 4 debug. The host copies the text. */
    void (*log)(uint32_t level, AnyflowStrView text);
} AnyflowHost;

/* The exported entry of a plugin. Static for the life of the process. */
typedef struct AnyflowEntry {
    /* ANYFLOW_MAGIC. */
    uint64_t magic;
    /* ANYFLOW_ABI_MAJOR of the plugin. */
    uint16_t abi_major;
    /* ANYFLOW_ABI_MINOR of the plugin. */
    uint16_t abi_minor;
    /* Size of this struct as the plugin knows it. */
    uint32_t struct_size;
    /* The descriptor in the code; the host compares it with the section. Static. */
    AnyflowStrView descriptor;
    /* `[main]` Called at least once before anything else; repeated calls must have no further effect. `host` is
     * static. Returns a status. May be null.
     */
    uint32_t (*init)(const AnyflowHost *host);
    /* `[any]` Returns the static table of an interface, or null. */
    const void *(*interface)(AnyflowStrView id);
} AnyflowEntry;

/* The callbacks for a call's reports, valid during the call only. A plugin may use them on the calling thread only:
 * the host drops reports from another thread, and the call fails.
 */
typedef struct AnyflowReport {
    /* Size of this struct as the host knows it. */
    uint32_t struct_size;
    /* The host's own data, passed back to the callbacks. */
    void *context;
    /* `[any]` Reports why the call failed (`row` < 0) or why one row failed. The host copies the text. Only on the
     * thread of the call, until that call returns.
     */
    void (*error)(void *context, int64_t row, AnyflowStrView text);
    /* `[any]` Reports the decoded cell of a row. The host copies its bytes, files or lists. Only on the thread of the
     * call, until that call returns.
     */
    void (*cell)(void *context, int64_t row, const AnyflowCellView *cell);
} AnyflowReport;

/* `anyflow.array/1`: inference-only modules over arrays in host memory, without libtorch. Since ABI 1.2. */

/* Id of the interface. */
#define ANYFLOW_ARRAY_ID "anyflow.array/1"

/* The table of `anyflow.array/1`. */
typedef struct AnyflowArrayInterface {
    /* Size of this struct as the plugin knows it. */
    uint32_t struct_size;
    /* `[compute]` Makes an instance of module `id`. `parameters` is a JSON object with every parameter of the
     * descriptor. `*instance` is set only on success and lives until `destroy`.
     */
    uint32_t (*create)(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance);
    /* `[compute]` Destroys an instance; no call follows. */
    void (*destroy)(void *instance);
    /* `[compute]` Runs one role. Inputs and outputs are `[row, axes of the port]`, row-major in host memory. The host
     * allocates and zeroes the outputs. Inputs are read-only views of the host's memory. The plugin keeps no pointer
     * to either after the call.
     */
    uint32_t (*forward)(const void *instance, uint32_t role, const AnyflowArrayView *inputs, size_t n_inputs,
        const AnyflowArrayView *outputs, size_t n_outputs, const AnyflowReport *report);
} AnyflowArrayInterface;

/* `anyflow.codec/1`: raw cells <-> dense arrays, on the CPU, without libtorch. */

/* Id of the interface. */
#define ANYFLOW_CODEC_ID "anyflow.codec/1"

/* The table of `anyflow.codec/1`. */
typedef struct AnyflowCodecInterface {
    /* Size of this struct as the plugin knows it. */
    uint32_t struct_size;
    /* `[main]` Makes an instance of codec `id`. `parameters` is a JSON object with every parameter of the
     * descriptor. `*instance` is set only on success and lives until `destroy`.
     */
    uint32_t (*create)(AnyflowStrView id, AnyflowStrView parameters, const AnyflowReport *report, void **instance);
    /* `[main]` Destroys an instance; no call is under way and none follows. */
    void (*destroy)(void *instance);
    /* `[worker]` Encodes `rows` cells into `array`, `[row, axes of the descriptor]`, which the host allocates and
     * zeroes. Reports an error with the number of each row that it cannot encode, and leaves zeros in that row. The
     * cells are read-only.
     */
    uint32_t (*encode)(const void *instance, const AnyflowCellView *cells, size_t rows, const AnyflowArrayView *array,
        const AnyflowReport *report);
    /* `[worker]` Decodes every row of `array`, `[row, axes of the descriptor]`. Reports a cell or an error for each
     * row. The array is a read-only view of the host's memory.
     */
    uint32_t (*decode)(const void *instance, const AnyflowArrayView *array, const AnyflowReport *report);
} AnyflowCodecInterface;

/* `anyflow.torch.dry/1`: modules without memory, for hosts that give all weights from a file, or want only names and
 * shapes. A plugin that offers `anyflow.torch/1` may offer it beside. Since ABI 1.6.
 */

/* Id of the interface. */
#define ANYFLOW_DRY_ID "anyflow.torch.dry/1"

/* The table of `anyflow.torch.dry/1`. All other calls of an instance are those of `anyflow.torch/1`. */
typedef struct AnyflowDryInterface {
    /* Size of this struct as the plugin knows it. */
    uint32_t struct_size;
    /* `[compute]` As `create` of `anyflow.torch/1`, but draws no value: all elements of a parameter or buffer share the
     * memory of one (every stride is 0), or the plugin makes it as usual. Before the first `forward`, the host gives
     * each of them its own memory by `set_data` of the tensor that `parameters` visits, so the plugin keeps this tensor
     * and computes nothing from its elements in `create`.
     */
    uint32_t (*create)(AnyflowStrView id, AnyflowStrView parameters, int64_t device, const AnyflowReport *report,
        void **instance);
} AnyflowDryInterface;

/* The floating-point environment that both sides must keep: round to nearest, subnormal numbers kept, exceptions
 * masked. Each thread has its own, and a new thread inherits that of its creator.
 */


/* All exceptions masked, and nothing else. */
#define ANYFLOW_FLOAT_DEFAULT 8064u

/* Status flags of past operations; they are not settings. */
#define ANYFLOW_FLOAT_FLAGS 63u

/* Numbers in nested lists. */

/* The most levels of a list cell. */
#define ANYFLOW_MAX_DEPTH 8u

/* Numbers in nested lists, borrowed: the payload of a cell of kind LIST(crate::cell_kind::LIST). Since ABI 1.2.
 *
 * `values` holds all numbers in order. `lengths` holds the number of items of the list, then for each item that is
 * a list its own lengths in the same way: `[n]` for a list of numbers, `[n, l1 .. ln]` for a list of lists, and
 * `[2, 1, 3, 2, 4, 5]` for a list of two lists, the first of one list of 3 numbers, the second of lists of 4 and 5.
 */
typedef struct AnyflowListView {
    /* Size of this struct as its creator knows it. */
    uint32_t struct_size;
    /* Levels of nesting, from 1 to ANYFLOW_MAX_DEPTH; the same for every cell of a column. */
    uint32_t depth;
    /* First number; may be null if `values_len` is 0. */
    const double *values;
    /* Number of numbers. */
    size_t values_len;
    /* First length. */
    const uint64_t *lengths;
    /* Number of lengths, at least 1. */
    size_t lengths_len;
} AnyflowListView;

/* Return values of calls. Zero is success. With any other value, the call has reported a text. */

/* Success. Single rows may have been reported as failed. */
#define ANYFLOW_STATUS_OK 0u

/* An argument does not fit the descriptor (shape, dtype, unknown id, bad parameter). */
#define ANYFLOW_STATUS_INVALID 1u

/* The plugin failed, for the reported reason. */
#define ANYFLOW_STATUS_FAILED 2u

/* The plugin panicked, and the instance is poisoned. The plugin's author must act. */
#define ANYFLOW_STATUS_PANICKED 3u

/* The instance panicked in an earlier call and takes no more calls. */
#define ANYFLOW_STATUS_POISONED 4u

/* The plugin has no such interface, component or role. */
#define ANYFLOW_STATUS_UNSUPPORTED 5u

/* `anyflow.torch/1`: modules that exchange tensors as libtorch handles, so that gradients flow through the ABI.
 *
 * A handle is a pointer to an `at::Tensor`, as in `tch` and the C++ API. Host and plugin must be built for the same
 * libtorch version, and share one loaded copy of it.
 */

/* Id of the interface. */
#define ANYFLOW_TORCH_ID "anyflow.torch/1"

/* A pointer to an `at::Tensor`. */
typedef void *AnyflowTensorHandle;

/* `[compute]` Receives the parameters of an instance one by one, during the call that it was passed to. `tensor` is
 * borrowed: the host makes its own shallow copy.
 */
typedef void (*AnyflowVisit)(void *context, AnyflowStrView name, AnyflowTensorHandle tensor, uint32_t trainable);

/* The table of `anyflow.torch/1`. */
typedef struct AnyflowTorchInterface {
    /* Size of this struct as the plugin knows it. */
    uint32_t struct_size;
    /* libtorch version that the plugin was built for, e.g. `2.11.0`. Static. */
    AnyflowStrView libtorch;
    /* `[compute]` Makes an instance of module `id` with freshly initialized parameters. `device` is -1 for the CPU,
     * else the CUDA ordinal. `*instance` is set only on success and lives until `destroy`.
     */
    uint32_t (*create)(AnyflowStrView id, AnyflowStrView parameters, int64_t device, const AnyflowReport *report,
        void **instance);
    /* `[compute]` Destroys an instance; no call follows. */
    void (*destroy)(void *instance);
    /* `[compute]` Visits every parameter and buffer in a fixed order, with its stable name. */
    uint32_t (*parameters)(const void *instance, AnyflowVisit visit, void *context, const AnyflowReport *report);
    /* `[compute]` Runs one role. Inputs are `[row, axes of the port]`, borrowed and read-only. Outputs are new
     * handles, never those of inputs; they are set only on success, and the host owns them afterwards. `train` is 1
     * during training.
     */
    uint32_t (*forward)(const void *instance, uint32_t role, uint32_t train, const AnyflowTensorHandle *inputs,
        size_t n_inputs, AnyflowTensorHandle *outputs, size_t n_outputs, const AnyflowReport *report);
} AnyflowTorchInterface;

/* Roles, as numbers. */

/* Array -> latent. */
#define ANYFLOW_ROLE_ENCODE 1u

/* Latent -> array. */
#define ANYFLOW_ROLE_DECODE 2u

/* Array -> conditioning tokens. */
#define ANYFLOW_ROLE_EMBED 3u

/* Latent -> shared space. */
#define ANYFLOW_ROLE_ALIGN 4u

/* Array or latent -> scores. */
#define ANYFLOW_ROLE_SCORE 5u

/* Array or latent -> features: the activations before the last layer of a scorer. Optional for scorers. Since ABI
 * 1.1.
 */
#define ANYFLOW_ROLE_FEATURES 6u

/* Array or latent -> perceptual features: the sum of their squared differences is a perceptual distance. Optional
 * for scorers. Since ABI 1.4.
 */
#define ANYFLOW_ROLE_PERCEPTUAL 7u

/* Array -> vector of the whole. Optional for modules that embed. Since ABI 1.5. */
#define ANYFLOW_ROLE_POOL 8u

/* The version of this header as the value of a descriptor's key `abi`: a text literal. */
#define ANYFLOW_ABI_JSON "[" ANYFLOW_TEXT_OF(ANYFLOW_ABI_MAJOR) ", " ANYFLOW_TEXT_OF(ANYFLOW_ABI_MINOR) "]"
#define ANYFLOW_TEXT_OF(number) ANYFLOW_TEXT_OF_WORD(number)
#define ANYFLOW_TEXT_OF_WORD(word) #word

/* A view of a text literal, as an initialiser. */
#define ANYFLOW_TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

/* The descriptor of a plugin, a text literal of JSON, as the static `name` in its section of the library file. */
#define ANYFLOW_DESCRIPTOR(name, json) \
    __attribute__((section(".anyflow"), used)) static const char name[] = json

/* The entry of a plugin whose descriptor is the static `descriptor` that ANYFLOW_DESCRIPTOR made. */
#define ANYFLOW_PLUGIN(descriptor, init, interface)                                                     \
    __attribute__((visibility("default"))) extern const AnyflowEntry anyflow_entry;                     \
    const AnyflowEntry anyflow_entry = {ANYFLOW_MAGIC,                                                  \
                                        ANYFLOW_ABI_MAJOR,                                              \
                                        ANYFLOW_ABI_MINOR,                                              \
                                        (uint32_t)sizeof(AnyflowEntry),                                 \
                                        {(const uint8_t *)(descriptor), sizeof(descriptor) - 1},        \
                                        (init),                                                         \
                                        (interface)}

/* What each minor of the ABI promised of its structs. */
#if UINTPTR_MAX == UINT64_MAX
static_assert(sizeof(AnyflowStrView) == 16, "size of ABI 1.0");
static_assert(offsetof(AnyflowStrView, ptr) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowStrView, len) == 8, "offset of ABI 1.0");
static_assert(sizeof(AnyflowCellView) == 40, "size of ABI 1.0");
static_assert(offsetof(AnyflowCellView, kind) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowCellView, bytes) == 8, "offset of ABI 1.0");
static_assert(offsetof(AnyflowCellView, integer) == 24, "offset of ABI 1.0");
static_assert(offsetof(AnyflowCellView, real) == 32, "offset of ABI 1.0");
static_assert(sizeof(AnyflowDevice) == 8, "size of ABI 1.0");
static_assert(offsetof(AnyflowDevice, kind) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowDevice, id) == 4, "offset of ABI 1.0");
static_assert(sizeof(AnyflowDataType) == 4, "size of ABI 1.0");
static_assert(offsetof(AnyflowDataType, code) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowDataType, bits) == 1, "offset of ABI 1.0");
static_assert(offsetof(AnyflowDataType, lanes) == 2, "offset of ABI 1.0");
static_assert(sizeof(AnyflowArrayView) == 48, "size of ABI 1.0");
static_assert(offsetof(AnyflowArrayView, data) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowArrayView, device) == 8, "offset of ABI 1.0");
static_assert(offsetof(AnyflowArrayView, ndim) == 16, "offset of ABI 1.0");
static_assert(offsetof(AnyflowArrayView, dtype) == 20, "offset of ABI 1.0");
static_assert(offsetof(AnyflowArrayView, shape) == 24, "offset of ABI 1.0");
static_assert(offsetof(AnyflowArrayView, strides) == 32, "offset of ABI 1.0");
static_assert(offsetof(AnyflowArrayView, byte_offset) == 40, "offset of ABI 1.0");
static_assert(sizeof(AnyflowEntry) == 48, "size of ABI 1.0");
static_assert(offsetof(AnyflowEntry, magic) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowEntry, abi_major) == 8, "offset of ABI 1.0");
static_assert(offsetof(AnyflowEntry, abi_minor) == 10, "offset of ABI 1.0");
static_assert(offsetof(AnyflowEntry, struct_size) == 12, "offset of ABI 1.0");
static_assert(offsetof(AnyflowEntry, descriptor) == 16, "offset of ABI 1.0");
static_assert(offsetof(AnyflowEntry, init) == 32, "offset of ABI 1.0");
static_assert(offsetof(AnyflowEntry, interface) == 40, "offset of ABI 1.0");
static_assert(sizeof(AnyflowHost) == 16, "size of ABI 1.0");
static_assert(offsetof(AnyflowHost, struct_size) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowHost, abi_minor) == 4, "offset of ABI 1.0");
static_assert(offsetof(AnyflowHost, log) == 8, "offset of ABI 1.0");
static_assert(sizeof(AnyflowReport) == 32, "size of ABI 1.0");
static_assert(offsetof(AnyflowReport, struct_size) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowReport, context) == 8, "offset of ABI 1.0");
static_assert(offsetof(AnyflowReport, error) == 16, "offset of ABI 1.0");
static_assert(offsetof(AnyflowReport, cell) == 24, "offset of ABI 1.0");
static_assert(sizeof(AnyflowCodecInterface) == 40, "size of ABI 1.0");
static_assert(offsetof(AnyflowCodecInterface, struct_size) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowCodecInterface, create) == 8, "offset of ABI 1.0");
static_assert(offsetof(AnyflowCodecInterface, destroy) == 16, "offset of ABI 1.0");
static_assert(offsetof(AnyflowCodecInterface, encode) == 24, "offset of ABI 1.0");
static_assert(offsetof(AnyflowCodecInterface, decode) == 32, "offset of ABI 1.0");
static_assert(sizeof(AnyflowTorchInterface) == 56, "size of ABI 1.0");
static_assert(offsetof(AnyflowTorchInterface, struct_size) == 0, "offset of ABI 1.0");
static_assert(offsetof(AnyflowTorchInterface, libtorch) == 8, "offset of ABI 1.0");
static_assert(offsetof(AnyflowTorchInterface, create) == 24, "offset of ABI 1.0");
static_assert(offsetof(AnyflowTorchInterface, destroy) == 32, "offset of ABI 1.0");
static_assert(offsetof(AnyflowTorchInterface, parameters) == 40, "offset of ABI 1.0");
static_assert(offsetof(AnyflowTorchInterface, forward) == 48, "offset of ABI 1.0");
static_assert(sizeof(AnyflowListView) == 40, "size of ABI 1.2");
static_assert(offsetof(AnyflowListView, struct_size) == 0, "offset of ABI 1.2");
static_assert(offsetof(AnyflowListView, depth) == 4, "offset of ABI 1.2");
static_assert(offsetof(AnyflowListView, values) == 8, "offset of ABI 1.2");
static_assert(offsetof(AnyflowListView, values_len) == 16, "offset of ABI 1.2");
static_assert(offsetof(AnyflowListView, lengths) == 24, "offset of ABI 1.2");
static_assert(offsetof(AnyflowListView, lengths_len) == 32, "offset of ABI 1.2");
static_assert(sizeof(AnyflowArrayInterface) == 32, "size of ABI 1.2");
static_assert(offsetof(AnyflowArrayInterface, struct_size) == 0, "offset of ABI 1.2");
static_assert(offsetof(AnyflowArrayInterface, create) == 8, "offset of ABI 1.2");
static_assert(offsetof(AnyflowArrayInterface, destroy) == 16, "offset of ABI 1.2");
static_assert(offsetof(AnyflowArrayInterface, forward) == 24, "offset of ABI 1.2");
static_assert(sizeof(AnyflowDryInterface) == 16, "size of ABI 1.6");
static_assert(offsetof(AnyflowDryInterface, struct_size) == 0, "offset of ABI 1.6");
static_assert(offsetof(AnyflowDryInterface, create) == 8, "offset of ABI 1.6");
#endif

#ifdef __cplusplus
}
#endif

#endif
