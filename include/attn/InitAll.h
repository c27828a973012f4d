//===- InitAll.h - Registration of everything -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_INITALL_H
#define ATTN_INITALL_H

namespace mlir {
class DialectRegistry;
class OpPassManager;
} // namespace mlir

namespace mlir::attn {

/// The dialects of this project and their external interface models.
void registerAllDialects(DialectRegistry &registry);

/// The passes and pipelines of this project.
void registerAllPasses();

/// Every dialect and interface model, ours and upstream's, that a compilation
/// from a model to machine code needs.
void registerCompilerDialects(DialectRegistry &registry);

/// Recognizes attention in linalg on tensors.
void buildRaisePipeline(OpPassManager &pm);

} // namespace mlir::attn

#endif // ATTN_INITALL_H
