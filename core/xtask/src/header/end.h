
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
