//===- TilePasses.td - Tile programs to vector code -----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_X86_TILEPASSES_TD
#define ATTN_TARGET_X86_TILEPASSES_TD

include "mlir/Pass/PassBase.td"

def AttnLowerTileContractionsPass
    : Pass<"attn-lower-tile-contractions", "::mlir::func::FuncOp"> {
  let summary = "contractions of tiles become register-blocked loops";
  let description = [{
    Pre:  a bufferized tile program (operations inside `scf.forall`).
    Post: each contraction of a known form is a loop nest whose innermost loop
    over the reduction keeps `row-block` x 2 vectors of accumulators in
    registers. A preceding zero fill or row scaling of the same tile becomes
    the start of the accumulators.

    Forms: `A[i,k] * B[jo,k,ji]` (panels), `A[i,k] * B[k,j]`,
    `A[i,k] * B[j,k]`, and the first two with pairs of bf16 as innermost
    reduction (`vdpbf16ps`).
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", "16", "f32 lanes of a vector">,
    Option<"rowBlock", "row-block", "int64_t", "8", "rows of a register block">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect", "::mlir::LLVM::LLVMDialect"
  ];
}

def AttnLowerTileRowsPass
    : Pass<"attn-lower-tile-rows", "::mlir::func::FuncOp"> {
  let summary = "neighbouring row operations become one loop over rows";
  let description = [{
    Pre:  a bufferized tile program without contractions.
    Post: each run of elementwise operations and row reductions over the same
    rows is one `scf.for` over the rows of straight vector code. Values pass
    between the operations in registers; a tile that nobody reads later is not
    written. Loads at clamped indices become masked vector loads; loads that
    run across rows become transposes of blocks in registers.

    `math.exp2` becomes a polynomial of degree 5 (2 ulp, exactly 0 for minus
    infinity).
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", "16", "f32 lanes of a vector">,
    Option<"scalef", "scalef", "bool", "true",
           "use the AVX-512 instruction that scales by a power of two">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect", "::mlir::LLVM::LLVMDialect"
  ];
}

def AttnOutlineParallelPass
    : Pass<"attn-outline-parallel", "::mlir::ModuleOp"> {
  let summary = "bodies of parallel loops become functions with stack scratch";
  let description = [{
    Pre:  bufferized tile programs, lowered inside `scf.forall`.
    Post: each `scf.forall` is an `scf.parallel` that only calls a private
    function. Tiles allocated in the body are stack memory of that function,
    as far as their size is bounded at compile time.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"
  ];
}

#endif // ATTN_TARGET_X86_TILEPASSES_TD
