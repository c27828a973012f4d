//===- DeviceEmulator.h - A processor as a GPU ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_DEVICEEMULATOR_H
#define ATTN_LIB_RUNTIME_DEVICEEMULATOR_H

#include "Device.h"
#include "attn/Runtime/attn_runtime.h"

namespace attn::rt {

/// The device behind `functions`; lives as long as the process.
Device &emulatedDevice(const attn_rt_emulator &functions);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_DEVICEEMULATOR_H
