//===- AttnRoutingOps.td - Rows that heads work on ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_ROUTING_OPS_TD
#define ATTN_ROUTING_OPS_TD

include "attn/Dialect/Attn/IR/AttnDialect.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Attn_ScatterRowsOp : Attn_Op<"scatter_rows", [
    Pure, AllTypesMatch<["init", "result"]>,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let summary = "listed rows return to their places, weighted";
  let description = [{
    The counterpart of `routing` of `attn.attention`:

        result[b,h,r,:] = init[b,h,r,:]
          + sum over n < row_counts[b,h] with rows[b,h,n] = r
              of row_weights[b,h,n] * input[b,h,n,:]

    in the order of `n`, each sum rounded to the element type. A weight is 1
    where there are none. Entries past the count and those whose row does not
    exist contribute nothing.

    | Name          | Shape              |
    |---------------|--------------------|
    | `input`       | `[B, H, N, D]`     |
    | `rows`        | `[B, H, N]`; dimension 1 may be 1 |
    | `row_counts`  | `[B, H]`; dimension 1 as that of `rows` |
    | `row_weights` | `[B, H, N]` float; dimension 1 as that of `rows` |
    | `init`, `result` | `[B, H, S, D]`, element type of `input` |

    Source: mixture of heads, arXiv:2410.11842, equation 5.

    Example:
    ```mlir
    %o = attn.scatter_rows %x, %rows, %counts weights(%gates : tensor<1x8x128xf32>)
      into %zeros : tensor<1x8x128x64xf32>, tensor<1x8x128xi32>,
      tensor<1x8xi32> into tensor<1x8x512x64xf32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor4D:$input, Attn_IndexTensor3D:$rows,
                       Attn_IndexTensor2D:$row_counts,
                       Attn_FloatTensor4D:$init,
                       Optional<Attn_FloatTensor3D>:$row_weights);
  let results = (outs Attn_FloatTensor4D:$result);
  let assemblyFormat = [{
    $input `,` $rows `,` $row_counts
    (`weights` `(` $row_weights^ `:` type($row_weights) `)`)?
    `into` $init attr-dict `:` type($input) `,` type($rows) `,`
    type($row_counts) `into` type($init)
  }];
  let hasVerifier = 1;
}

#endif // ATTN_ROUTING_OPS_TD
