/* A plugin in C whose module exchanges tensors by their handles, with one fault selected by a macro. Without a macro, its
 * output is an undefined tensor. */

#include <stdlib.h>
#include <string.h>

#include "anyflow.h"

#define PORT "{\"dtype\": \"f32\", \"axes\": [{\"name\": \"value\", \"size\": 2}]}"
ANYFLOW_DESCRIPTOR(descriptor,
    "{\"plugin\": \"handles\", \"version\": \"0.1.0\", \"abi\": " ANYFLOW_ABI_JSON ", \"license\": \"MIT\","
    " \"summary\": \"wrong about handles\", \"libtorch\": \"2.11.0\", \"codecs\": [],"
    " \"modules\": [{\"id\": \"same\", \"modality\": \"number\", \"summary\": \"gives back what it got\","
    "   \"interface\": \"anyflow.torch/1\","
    "   \"roles\": [{\"role\": \"encode\", \"input\": " PORT ", \"output\": " PORT "},"
    "               {\"role\": \"decode\", \"input\": " PORT ", \"output\": " PORT "}],"
    "   \"parameters\": {}}]}");

/* The target of an undefined `at::Tensor`: c10::UndefinedTensorImpl::_singleton. */
extern char _ZN3c1019UndefinedTensorImpl10_singletonE[];

/* A handle is a pointer to an `at::Tensor`, which is itself one pointer. */
__attribute__((unused)) static void *handle_on(void *tensor) {
    void **handle = malloc(sizeof(void *));
    if (handle == NULL) abort();
    *handle = tensor;
    return handle;
}

static uint32_t create(AnyflowStrView id, AnyflowStrView parameters, int64_t device, const AnyflowReport *report,
                       void **instance) {
    (void)id, (void)parameters, (void)device, (void)report;
    *instance = malloc(1);
    return *instance == NULL ? ANYFLOW_STATUS_FAILED : ANYFLOW_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

static uint32_t parameters(const void *instance, AnyflowVisit visit, void *context, const AnyflowReport *report) {
    (void)instance, (void)report, (void)visit, (void)context;
#ifdef PARAMETER_NULL
    visit(context, (AnyflowStrView)ANYFLOW_TEXT("weight"), NULL, 1);
#endif
#ifdef PARAMETER_MISALIGNED
    visit(context, (AnyflowStrView)ANYFLOW_TEXT("weight"), (void *)17, 1);
#endif
#ifdef PARAMETER_UNDEFINED
    void *handle = handle_on(_ZN3c1019UndefinedTensorImpl10_singletonE);
    visit(context, (AnyflowStrView)ANYFLOW_TEXT("weight"), handle, 1);
    free(handle);
#endif
#ifdef CONTEXT_WRONG
    void *handle = handle_on(_ZN3c1019UndefinedTensorImpl10_singletonE);
    visit((void *)((char *)context + 12345), (AnyflowStrView)ANYFLOW_TEXT("weight"), handle, 1);
    free(handle);
#endif
    return ANYFLOW_STATUS_OK;
}

static uint32_t forward(const void *instance, uint32_t role, uint32_t train, const AnyflowTensorHandle *inputs,
                        size_t n_inputs, AnyflowTensorHandle *outputs, size_t n_outputs, const AnyflowReport *report) {
    (void)instance, (void)role, (void)train, (void)n_inputs, (void)n_outputs, (void)report, (void)inputs;
#if defined(OUTPUT_IS_INPUT)
    outputs[0] = inputs[0];
#elif defined(OUTPUT_NULL)
    outputs[0] = NULL;
#elif defined(OUTPUT_MISALIGNED)
    outputs[0] = (char *)inputs[0] + 1;
#else
    outputs[0] = handle_on(_ZN3c1019UndefinedTensorImpl10_singletonE);
#endif
    return ANYFLOW_STATUS_OK;
}

static const AnyflowTorchInterface torch = {sizeof torch, ANYFLOW_TEXT("2.11.0"), create, destroy, parameters, forward};

static const void *interface_of(AnyflowStrView id) {
    return id.len == strlen(ANYFLOW_TORCH_ID) && memcmp(id.ptr, ANYFLOW_TORCH_ID, id.len) == 0 ? &torch : NULL;
}

extern const AnyflowEntry anyflow_entry;
const AnyflowEntry anyflow_entry = {ANYFLOW_MAGIC, ANYFLOW_ABI_MAJOR, ANYFLOW_ABI_MINOR, sizeof(AnyflowEntry),
                                    {(const uint8_t *)descriptor, sizeof descriptor - 1}, NULL, interface_of};
