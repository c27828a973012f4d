//===- InitAll.cpp - Registration of everything ---------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/InitAll.h"
#include "attn/Conversion/Passes.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Transforms/Passes.h"
#include "attn/Dialect/Device/IR/DeviceDialect.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Target/NVIDIA/HostPasses.h"
#include "attn/Target/NVIDIA/NVPasses.h"
#include "attn/Target/NVIDIA/Passes.h"
#include "attn/Target/X86/Passes.h"
#include "attn/Target/X86/Tile.h"

void mlir::attn::registerAllDialects(DialectRegistry &registry) {
  registry.insert<AttnDialect, nv::AttnNVDialect, rt::AttnRTDialect,
                  device::AttnGPUDialect>();
  rt::registerBufferizationModels(registry);
  device::registerBufferizationModels(registry);
}

void mlir::attn::registerAllPasses() {
  registerAttnTransformsPasses();
  registerAttnNVPasses();
  registerAttnGpuHostPasses();
  registerAttnX86Passes();
  registerAttnConversionPasses();
  registerAttnTilePasses();
  registerTilePipelines();
  registerAttnNVIDIAPasses();
  registerNVIDIAPipelines();
}
