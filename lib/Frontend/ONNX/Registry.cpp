//===- Registry.cpp - Lookup of operators ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Registry.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;

const OpRegistry &OpRegistry::get() {
  static const OpRegistry registry = [] {
    OpRegistry all;
    registerActivationOps(all);
    registerAttentionOps(all);
    registerChannelNormOps(all);
    registerContribAttentionOps(all);
    registerContribOps(all);
    registerControlOps(all);
    registerConvOps(all);
    registerEinsumOps(all);
    registerElementwiseOps(all);
    registerGatherOps(all);
    registerLinearOps(all);
    registerLossOps(all);
    registerMatMulOps(all);
    registerNormalizationOps(all);
    registerPadOps(all);
    registerPoolOps(all);
    registerQuantizeOps(all);
    registerRearrangeOps(all);
    registerRecurrentOps(all);
    registerReductionOps(all);
    registerResizeOps(all);
    registerScatterOps(all);
    registerSearchOps(all);
    registerShapeOps(all);
    return all;
  }();
  return registry;
}

const ImportFn *OpRegistry::find(StringRef domain, StringRef name,
                                 int64_t version) const {
  auto it = entries.find(key(domain, name));
  if (it == entries.end())
    return nullptr;
  auto after = it->second.upper_bound(version);
  return after == it->second.begin() ? nullptr : &std::prev(after)->second;
}
