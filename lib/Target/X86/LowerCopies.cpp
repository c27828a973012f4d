//===- LowerCopies.cpp - Copies of strided buffers ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNLOWERCOPIESPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

struct AttnLowerCopiesPass final
    : impl::AttnLowerCopiesPassBase<AttnLowerCopiesPass> {
  void runOnOperation() override {
    SmallVector<memref::CopyOp> copies;
    getOperation().walk([&](memref::CopyOp op) { copies.push_back(op); });
    for (memref::CopyOp op : copies) {
      auto from = cast<MemRefType>(op.getSource().getType());
      auto to = cast<MemRefType>(op.getTarget().getType());
      // One block of memory each: a memcpy is best.
      if (from.getLayout().isIdentity() && to.getLayout().isIdentity())
        continue;
      OpBuilder builder(op);
      AffineMap map = builder.getMultiDimIdentityMap(from.getRank());
      SmallVector<utils::IteratorType> iterators(from.getRank(),
                                                 utils::IteratorType::parallel);
      linalg::GenericOp::create(builder, op.getLoc(), op.getSource(),
                                op.getTarget(), ArrayRef<AffineMap>{map, map},
                                iterators,
                                [](OpBuilder &b, Location loc, ValueRange v) {
                                  linalg::YieldOp::create(b, loc, v[0]);
                                });
      op.erase();
    }
  }
};

} // namespace
} // namespace mlir::attn
