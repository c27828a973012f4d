//===- AttnLinearOps.td - Recurrences over tokens -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LINEAR_OPS_TD
#define ATTN_LINEAR_OPS_TD

include "attn/Dialect/Attn/IR/AttnDialect.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Attn_StateTensor3D : TensorRankOf<[F32, F64], [3]>;
def Attn_StateTensor4D : TensorRankOf<[F32, F64], [4]>;
def Attn_BetaTensor : TensorRankOf<[Attn_Float], [3]>;
def Attn_DecayTensor : TensorRankOf<[Attn_Float], [3, 4]>;
def Attn_WritesTensor : TensorRankOf<[I1], [3]>;

def Attn_LinearAttentionOp : Attn_Op<"linear_attention", [
    Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let summary = "attention without softmax, as a recurrence with a state";
  let description = [{
    For each batch entry and key head a state `S` of `D x Dv` numbers, updated
    by one token after the other; head `h` of the queries reads the state of
    key head `g = h / (H / Hkv)`:

        S = exp(decay[t]) * S
        w = value[t] - transpose(S) key[t]          with beta, else value[t]
        S = S + beta[t] * key[t] transpose(w)       with beta, else beta is 1
        output[t] = scale * transpose(S) query[t]

    `beta` makes the delta rule of it, `decay` a gated one; with neither it is
    plain linear attention. `decay` is in natural logarithms: of each token, of
    each token and key feature (row of `S`), or, as the attribute `log_decay`,
    one constant for each key head. A `decay` of minus infinity forgets.

    A third result asks for normalised outputs, which takes a rule without
    `beta`: `N = exp(decay[t]) * N + key[t]` starts at `normalizer` and
    `output[t]` is divided by `scale * dot(N, query[t])`; where that is 0, the
    output is 0.

    `writes` says for each chunk of `chunk_size` tokens (the last one may be
    shorter) whether it changes the state for later chunks. After a chunk that
    does not, the state is the one before the chunk; with `decay_unwritten`
    that times the decays of the chunk's tokens. The outputs of a chunk always
    see its own tokens. Without `writes`, `chunk_size` changes no result: it is
    the number of tokens that a tile program takes together.

    | Name             | Shape             | Meaning                        |
    |------------------|-------------------|--------------------------------|
    | `query`          | `[B, H, S, D]`    | `Hkv` divides `H`; H, Hkv, D and Dv are static |
    | `key`            | `[B, Hkv, S, D]`  | element type of `query`        |
    | `value`          | `[B, Hkv, S, Dv]` | element type of `query`        |
    | `decay`          | `[B, Hkv, S]` or `[B, Hkv, S, D]` | logarithms, not above 0 |
    | `beta`           | `[B, Hkv, S]`     | the heads dimension may be 1   |
    | `state`          | `[B, Hkv, D, Dv]` | before the first token; 0 when absent |
    | `normalizer`     | `[B, Hkv, D]`     | before the first token; 0 when absent |
    | `writes`         | `[B, Hkv, C]` i1  | `C = ceil(S / chunk_size)`; the heads dimension may be 1 |
    | `output`         | `[B, H, S, Dv]`   | element type of `query`        |
    | `state_out`      | `[B, Hkv, D, Dv]` | after the last token, not yet decayed for the next one |
    | `normalizer_out` | `[B, Hkv, D]`     | like `state_out`               |

    States, and all that is computed, are f32 (f64 for f64 inputs). `scale` is
    1 when absent. Sources: arXiv:2006.16236 (linear attention and its
    normaliser), arXiv:2401.04658 (constant decay), arXiv:2102.11174 (delta
    rule), arXiv:2412.06464 (gated delta rule), ONNX LinearAttention of opset
    27.

    Example: gated delta rule of 8 query heads over 4 states; then decay by
    constants, one token, with its state.
    ```mlir
    %o, %s = attn.linear_attention %q, %k, %v
      decay(%g : tensor<1x4x?xf32>) beta(%b : tensor<1x4x?xf32>) {scale = 0.125}
      : tensor<1x8x?x64xf32>, tensor<1x4x?x64xf32>, tensor<1x4x?x128xf32>
      -> tensor<1x8x?x128xf32>, tensor<1x4x64x128xf32>
    %d, %next = attn.linear_attention %q1, %k1, %v1
      state(%past : tensor<1x2x64x64xf32>)
      {log_decay = array<f64: -0.5, -0.25>}
      : tensor<1x2x1x64xf32>, tensor<1x2x1x64xf32>, tensor<1x2x1x64xf32>
      -> tensor<1x2x1x64xf32>, tensor<1x2x64x64xf32>
    ```
  }];
  let arguments = (ins
    Attn_FloatTensor4D:$query, Attn_FloatTensor4D:$key,
    Attn_FloatTensor4D:$value,
    Optional<Attn_DecayTensor>:$decay,
    Optional<Attn_BetaTensor>:$beta,
    Optional<Attn_StateTensor4D>:$state,
    Optional<Attn_StateTensor3D>:$normalizer,
    Optional<Attn_WritesTensor>:$writes,
    OptionalAttr<DenseF64ArrayAttr>:$log_decay,
    OptionalAttr<F64Attr>:$scale,
    DefaultValuedAttr<I64Attr, "64">:$chunk_size,
    UnitAttr:$decay_unwritten);
  let results = (outs Attn_FloatTensor4D:$output, Attn_StateTensor4D:$state_out,
                      Optional<Attn_StateTensor3D>:$normalizer_out);
  let assemblyFormat = [{
    $query `,` $key `,` $value
    oilist( `decay` `(` $decay `:` type($decay) `)`
          | `beta` `(` $beta `:` type($beta) `)`
          | `state` `(` $state `:` type($state) `)`
          | `normalizer` `(` $normalizer `:` type($normalizer) `)`
          | `writes` `(` $writes `:` type($writes) `)` )
    attr-dict `:` type($query) `,` type($key) `,` type($value)
    `->` type($output) `,` type($state_out) (`,` type($normalizer_out)^)?
  }];
  let extraClassDeclaration = [{
    double getEffectiveScale();
    /// Whether each key feature has a decay of its own.
    bool decaysByFeature();
    /// Query heads per key head.
    int64_t getGroupSize();
  }];
  let hasVerifier = 1;
}

def Attn_LocalLinearAttentionOp : Attn_Op<"local_linear_attention", [
    Pure, DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let summary = "causal attention that fits a line instead of a constant";
  let description = [{
    Softmax attention is the constant that fits the values best under the
    weights `w[j] = exp(scale * dot(query[i], key[j]))`; this is the value at
    the query of the line that does, with its slope held back by a ridge. Row
    `i` sees the keys `j <= i + Skv - Sq`. With the query `q` of a row:

        omega = sum_j w[j];  mu = sum_j w[j] (key[j] - q)
        Sigma = sum_j w[j] (key[j] - q) transpose(key[j] - q) + r I
        rho   = inverse(Sigma) mu;  delta = omega - dot(mu, rho)
        output[i] = sum_j w[j] (1 - dot(key[j] - q, rho)) / delta * value[j]

    `r` is `ridge`, times `omega` unless `absolute`: a relative ridge does not
    depend on a constant that is added to all scores, while with an absolute
    one the weights are relative to the row's largest score, which then is 0.
    `delta` is moved away from 0 by `epsilon`. With `feature_block`, `Sigma`
    keeps only blocks of so many features on its diagonal. The system is solved
    directly, or by `iterations` steps of conjugate gradients, which end for a
    row whose squared residual is 1e-12 of the first one. Weights of values may
    be negative; they add up to 1. A row without keys yields zeros.

    | Name     | Shape               | Meaning                          |
    |----------|---------------------|----------------------------------|
    | `query`  | `[B, H, Sq, D]`     | `Hkv` divides `H`; H, Hkv, D and Dv are static |
    | `key`    | `[B, Hkv, Skv, D]`  | element type of `query`          |
    | `value`  | `[B, Hkv, Skv, Dv]` | element type of `query`          |
    | `output` | `[B, H, Sq, Dv]`    | element type of `query`          |

    All is computed in f32 (f64 for f64 inputs). `scale` is `1 / sqrt(D)` when
    absent. Source: Local Linear Attention, arXiv:2510.01450.

    Example:
    ```mlir
    %o = attn.local_linear_attention %q, %k, %v {ridge = 0.1, iterations = 16}
      : tensor<1x8x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>
      -> tensor<1x8x?x64xf32>
    ```
  }];
  let arguments = (ins
    Attn_FloatTensor4D:$query, Attn_FloatTensor4D:$key,
    Attn_FloatTensor4D:$value,
    F64Attr:$ridge, UnitAttr:$absolute,
    OptionalAttr<F64Attr>:$scale,
    OptionalAttr<I64Attr>:$iterations,
    OptionalAttr<I64Attr>:$feature_block,
    DefaultValuedAttr<F64Attr, "1e-12">:$epsilon);
  let results = (outs Attn_FloatTensor4D:$output);
  let assemblyFormat = [{
    $query `,` $key `,` $value attr-dict
    `:` type($query) `,` type($key) `,` type($value) `->` type($output)
  }];
  let extraClassDeclaration = [{
    double getEffectiveScale();
    /// Query heads per key head.
    int64_t getGroupSize();
  }];
  let hasVerifier = 1;
}

def Attn_MonotonicAlignOp : Attn_Op<"monotonic_align", [
    Pure, AllTypesMatch<["choose", "alignment"]>,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                              ["reifyResultShapes"]>]> {
  let summary = "expected monotonic alignment of targets to sources";
  let description = [{
    The probability that target `i` stops at source `j`, when each target goes
    on from where the one before stopped and stops at `j` with probability
    `choose[i, j]`:

        s[j] = alignment[i-1, j] + (1 - choose[i, j-1]) * s[j-1]
        alignment[i, j] = choose[i, j] * s[j]

    with `s[-1] = 0`. The row before the first target is `previous`, by default
    1 at source 0 and 0 elsewhere. A row adds up to at most 1, to less where a
    target may pass the last source. No division and no logarithm is involved,
    and a row costs time in proportion to its sources.

    | Name        | Shape             |
    |-------------|-------------------|
    | `choose`    | `[B, H, St, Ss]`, probabilities |
    | `previous`  | `[B, H, Ss]`      |
    | `alignment` | `[B, H, St, Ss]`  |

    Sums are f32 (f64 for f64 inputs). Source: EMMA, arXiv:2312.04515, section
    3.1.

    Example:
    ```mlir
    %a = attn.monotonic_align %p : tensor<1x8x?x?xf32>
    ```
  }];
  let arguments = (ins Attn_FloatTensor4D:$choose,
                       Optional<Attn_StateTensor3D>:$previous);
  let results = (outs Attn_FloatTensor4D:$alignment);
  let assemblyFormat = [{
    $choose (`previous` `(` $previous^ `:` type($previous) `)`)? attr-dict
    `:` type($choose)
  }];
  let hasVerifier = 1;
}

#endif // ATTN_LINEAR_OPS_TD
