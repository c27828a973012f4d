//===- FreeBuffers.cpp - Free device memory after its last use ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/NVIDIA/HostPasses.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNGPUFREEBUFFERSPASS
#include "attn/Target/NVIDIA/HostPasses.h.inc"

namespace {

/// The last operation of the buffer's block that uses it or a view of it; null
/// where it may outlive the block.
Operation *findLastUse(memref::AllocOp alloc) {
  Block *block = alloc->getBlock();
  Operation *last = alloc;
  SmallVector<Value> aliases = {alloc.getResult()};
  DenseSet<Value> seen(aliases.begin(), aliases.end());
  while (!aliases.empty()) {
    for (Operation *user : aliases.pop_back_val().getUsers()) {
      if (user->hasTrait<OpTrait::IsTerminator>() ||
          isa<memref::DeallocOp>(user))
        return nullptr;
      for (Value result : user->getResults()) {
        if (!isa<MemRefType>(result.getType()))
          continue;
        // A loop or a call may give the buffer back; so may what we do not
        // know.
        if (!isa<ViewLikeOpInterface, memref::ReinterpretCastOp,
                 memref::ExtractStridedMetadataOp>(user))
          return nullptr;
        if (seen.insert(result).second)
          aliases.push_back(result);
      }
      if (isa<RegionBranchOpInterface>(user))
        return nullptr;
      Operation *here = block->findAncestorOpInBlock(*user);
      if (!here)
        return nullptr;
      if (last->isBeforeInBlock(here))
        last = here;
    }
  }
  return last;
}

struct AttnGpuFreeBuffersPass final
    : impl::AttnGpuFreeBuffersPassBase<AttnGpuFreeBuffersPass> {
  void runOnOperation() override {
    SmallVector<memref::AllocOp> allocs;
    getOperation().walk([&](memref::AllocOp op) { allocs.push_back(op); });
    for (memref::AllocOp alloc : allocs)
      if (Operation *last = findLastUse(alloc)) {
        OpBuilder builder(&getContext());
        builder.setInsertionPointAfter(last);
        memref::DeallocOp::create(builder, alloc.getLoc(), alloc);
      }
  }
};

} // namespace
} // namespace mlir::attn
