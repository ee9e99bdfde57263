/* This file is made of core/abi by `cargo xtask header`. It is C11 and C++17. */

#ifndef ANYFLOW_H
#define ANYFLOW_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
