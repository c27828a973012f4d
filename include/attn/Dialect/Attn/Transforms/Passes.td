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

    This is the meaning of each operation and the fallback for what no target
    takes. Attention becomes the textbook form, without tiling: products of
    queries and keys, one elementwise operation for scale, softcap, bias and
    mask (minus infinity where a pair is not kept), a softmax that yields zeros
    for a row without keys, and the weighted sum of the values. A value whose
    pair is not kept is never read into the sum, so it may be NaN. Query heads
    that share a key head are grouped by a reshape; keys are not repeated,
    unless the number of heads is dynamic. The scores of all pairs exist in
    memory at once.

    ```mlir
    func.func @attention(%q: tensor<1x4x?x8xf32>, %kv: tensor<1x4x?x8xf32>)
        -> tensor<1x4x?x8xf32> {
      %o = attn.attention %q, %kv, %kv
        : tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>
        -> tensor<1x4x?x8xf32>
      return %o : tensor<1x4x?x8xf32>
    }
    ```

    becomes `linalg.contract` (products), `linalg.generic` (scores),
    `linalg.generic` (row maximum), `linalg.generic` (weights),
    `linalg.generic` (row sum), `linalg.contract` and `linalg.generic` (the
    output).
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect",
    "::mlir::scf::SCFDialect"
  ];
}

#endif // ATTN_TRANSFORMS_PASSES_TD
