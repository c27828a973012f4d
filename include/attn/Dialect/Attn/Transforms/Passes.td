//===- Passes.td - Passes on the attn dialect -----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TRANSFORMS_PASSES_TD
#define ATTN_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def AttnDecomposePass : Pass<"attn-decompose", "::mlir::func::FuncOp"> {
  let summary = "replace attn operations by their meaning in linalg";
  let description = [{
    Pre:  any `attn` operation on tensors.
    Post: no `attn` operation is left.

    The textbook form, without tiling: scores, bias, mask, a softmax that
    yields zeros for a row without keys, and the product with the values.

    ```mlir
    %o = attn.attention %q, %k, %v : ...
    ==>
    linalg.generic (scores), linalg.generic (row maximum), ...
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect",
    "::mlir::scf::SCFDialect"
  ];
}

#endif // ATTN_TRANSFORMS_PASSES_TD
