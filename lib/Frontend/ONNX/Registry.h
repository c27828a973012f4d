//===- Registry.h - Which operators there are -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators by domain, name and the version since which the entry holds.
// Each file in Ops/ fills in a family.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_REGISTRY_H
#define ATTN_LIB_FRONTEND_ONNX_REGISTRY_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/Twine.h"
#include <functional>
#include <map>

namespace mlir::attn::frontend::onnx {

class NodeImporter;

/// Imports one node: reads inputs and attributes, sets outputs. Failure means
/// that a problem has been reported through the NodeImporter.
using ImportFn = std::function<LogicalResult(NodeImporter &)>;

class OpRegistry {
public:
  /// The registry with every family.
  static const OpRegistry &get();

  /// Adds an operator of the standard domain. It serves versions from
  /// `since` up to the next entry of the same name.
  void add(StringRef name, int64_t since, ImportFn import) {
    add("", name, since, std::move(import));
  }
  void add(StringRef domain, StringRef name, int64_t since, ImportFn import) {
    entries[key(domain, name)][since] = std::move(import);
  }
  const ImportFn *find(StringRef domain, StringRef name, int64_t version) const;
  bool knows(StringRef domain, StringRef name) const {
    return entries.count(key(domain, name)) != 0;
  }

private:
  static std::string key(StringRef domain, StringRef name) {
    return (Twine(domain) + "::" + name).str();
  }
  llvm::StringMap<std::map<int64_t, ImportFn>> entries;
};

// One function for each file in Ops/.
void registerActivationOps(OpRegistry &registry);
void registerAttentionOps(OpRegistry &registry);
void registerChannelNormOps(OpRegistry &registry);
void registerContribAttentionOps(OpRegistry &registry);
void registerContribOps(OpRegistry &registry);
void registerControlOps(OpRegistry &registry);
void registerConvOps(OpRegistry &registry);
void registerEinsumOps(OpRegistry &registry);
void registerElementwiseOps(OpRegistry &registry);
void registerGatherOps(OpRegistry &registry);
void registerLinearOps(OpRegistry &registry);
void registerLossOps(OpRegistry &registry);
void registerMatMulOps(OpRegistry &registry);
void registerNormalizationOps(OpRegistry &registry);
void registerPadOps(OpRegistry &registry);
void registerPoolOps(OpRegistry &registry);
void registerQuantizeOps(OpRegistry &registry);
void registerRearrangeOps(OpRegistry &registry);
void registerRecurrentOps(OpRegistry &registry);
void registerReductionOps(OpRegistry &registry);
void registerResizeOps(OpRegistry &registry);
void registerScatterOps(OpRegistry &registry);
void registerSearchOps(OpRegistry &registry);
void registerShapeOps(OpRegistry &registry);

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_REGISTRY_H
