// A plugin whose module throws a C++ exception out of a call, which the ABI forbids: nothing can catch it.

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "anyflow.h"

#define PORT "{\"dtype\": \"f32\", \"axes\": [{\"name\": \"value\", \"size\": 1}]}"

ANYFLOW_DESCRIPTOR(
    descriptor,
    "{\"plugin\": \"throws\", \"version\": \"0.1.0\", \"abi\": " ANYFLOW_ABI_JSON ", \"license\": \"MIT\","
    " \"summary\": \"throws\", \"codecs\": [], \"modules\": [{\"id\": \"thrower\", \"modality\": \"text\","
    " \"summary\": \"throws\", \"interface\": \"anyflow.array/1\","
    " \"roles\": [{\"role\": \"encode\", \"input\": " PORT ", \"output\": " PORT "},"
    " {\"role\": \"decode\", \"input\": " PORT ", \"output\": " PORT "}], \"parameters\": {}}]}");

namespace {

uint32_t create(AnyflowStrView, AnyflowStrView, const AnyflowReport *, void **instance) {
    *instance = std::malloc(1);
    return ANYFLOW_STATUS_OK;
}

void destroy(void *instance) { std::free(instance); }

uint32_t forward(const void *, uint32_t, const AnyflowArrayView *, size_t, const AnyflowArrayView *, size_t,
                 const AnyflowReport *) {
    throw std::runtime_error("thrown through the border");
}

const AnyflowArrayInterface array = {sizeof(AnyflowArrayInterface), create, destroy, forward};

const void *interface_of(AnyflowStrView id) {
    const bool asked = id.len == std::strlen(ANYFLOW_ARRAY_ID) && std::memcmp(id.ptr, ANYFLOW_ARRAY_ID, id.len) == 0;
    return asked ? &array : nullptr;
}

}  // namespace

ANYFLOW_PLUGIN(descriptor, nullptr, interface_of);
