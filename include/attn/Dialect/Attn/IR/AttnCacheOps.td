//===- AttnCacheOps.td - Positions and the key/value cache ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_CACHE_OPS_TD
#define ATTN_CACHE_OPS_TD

include "attn/Dialect/Attn/IR/AttnDialect.td"
include "attn/Dialect/Attn/IR/AttnEnums.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Attn_RopeOp : Attn_Op<"rope", [
    Pure, AllTypesMatch<["input", "output"]>, AllTypesMatch<["cos", "sin"]>,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let summary = "rotary position embedding";
  let description = [{
    Rotates the first `R` features of each row in pairs, `R` being twice the
    last dimension of `cos`; the others pass through. Feature `f < R / 2` is
    paired with `f + R / 2`, or, when `interleaved`, `2 f` with `2 f + 1`:

        output[x] = cos * input[x] - sin * input[y]
        output[y] = sin * input[x] + cos * input[y]

    `cos` and `sin` hold one row per token, for all batch entries together or
    for each. Products are rounded in f32 (f64 for f64). Source: RoFormer,
    arXiv:2104.09864, section 3.2.

    | Name         | Shape                        |
    |--------------|------------------------------|
    | `input`      | `[B, H, S, D]`               |
    | `cos`, `sin` | `[S, R/2]` or `[B, S, R/2]`; B may be 1 |

    Example:
    ```mlir
    %r = attn.rope %x, %cos, %sin
      : tensor<1x8x16x64xf32>, tensor<16x32xf32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor4D:$input, Attn_FloatTensor2DOr3D:$cos,
                       Attn_FloatTensor2DOr3D:$sin, UnitAttr:$interleaved);
  let results = (outs Attn_FloatTensor4D:$output);
  let assemblyFormat = [{
    $input `,` $cos `,` $sin (`interleaved` $interleaved^)? attr-dict
    `:` type($input) `,` type($cos)
  }];
  let hasVerifier = 1;
}

def Attn_KVAppendOp : Attn_Op<"kv_append", [
    Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let summary = "new keys or values join a cache";
  let description = [{
    Without `at`, the result holds the rows of `cache` followed by those of
    `update`. With `at`, the cache has a fixed length `L`: row `s` of `update`
    replaces row `at[b] + s`, modulo `L` when `mode` is `circular`. In `linear`
    mode rows past the end are dropped, and so are negative indices.

    With `pages` the cache is a pool of pages, as `attn.attention` reads it: row
    `r` of entry `b` is row `r % page_size` of page
    `page_table[b, r / page_size]`, and `L` is `NP * page_size`. Rows whose page
    does not exist are dropped; where entries share a page, the last one stays.

    | Name     | Shape             |
    |----------|-------------------|
    | `cache`  | `[B, Hkv, L, D]`  |
    | `update` | `[B, Hkv, S, D]`  |
    | `at`     | `[B]`, or `[B, Hl]`: consecutive heads share a row, `Hl` divides `Hkv` |
    | `page_table` | `[B, NP]`, makes `cache` `[P, Hkv, page_size, D]` |
    | `result` | `[B, Hkv, L + S, D]`, or the shape of `cache` with `at` |

    Example:
    ```mlir
    %k = attn.kv_append %past, %new
      : tensor<1x2x?x64xf32>, tensor<1x2x1x64xf32> -> tensor<1x2x?x64xf32>
    %p = attn.kv_append %pool, %new at(%length : tensor<1xi64>)
      pages(%table : tensor<1x8xi32>)
      : tensor<?x2x16x64xf32>, tensor<1x2x1x64xf32> -> tensor<?x2x16x64xf32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor4D:$cache, Attn_FloatTensor4D:$update,
                       Optional<Attn_IndexTensor1DOr2D>:$at,
                       Optional<Attn_IndexTensor2D>:$page_table,
                       DefaultValuedAttr<Attn_CacheModeAttr,
                           "::mlir::attn::CacheMode::Linear">:$mode);
  let results = (outs Attn_FloatTensor4D:$result);
  let assemblyFormat = [{
    $cache `,` $update (`at` `(` $at^ `:` type($at) `)`)?
    (`pages` `(` $page_table^ `:` type($page_table) `)`)? attr-dict
    `:` type($cache) `,` type($update) `->` type($result)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
}

#endif // ATTN_CACHE_OPS_TD
