//===- RuntimeOps.td - What the runtime supplies to compiled code ---------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_RUNTIME_OPS_TD
#define ATTN_RUNTIME_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def AttnRT_Dialect : Dialect {
  let name = "attn_rt";
  let cppNamespace = "::mlir::attn::rt";
  let summary = "what the runtime supplies to compiled code";
  let description = [{
    Weights that stay in the model's file, and calls into the runtime's
    libraries. A module reaches this dialect when a frontend names a weight;
    the other operations appear on the way to machine code only.
  }];
}

class AttnRT_Op<string mnemonic, list<Trait> traits = []>
    : Op<AttnRT_Dialect, mnemonic, traits>;

def AttnRT_WeightOp : AttnRT_Op<"weight", [Pure]> {
  let summary = "a constant tensor that stays in a file";
  let description = [{
    The tensor whose row-major little-endian elements are the bytes
    `[offset, offset + size)` of `file`, where `size` follows from the type.
    `file` is relative to the folder of the model. The runtime maps the file;
    the bytes never enter the compiled code.

    Example:
    ```mlir
    %w = attn_rt.weight "encoder.bias" from "model.onnx" at 4096
      : tensor<384xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, StrAttr:$file, I64Attr:$offset);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    $name `from` $file `at` custom<Offset>($offset) attr-dict `:` type($result)
  }];
  let hasVerifier = 1;
}

def AttnRT_WeightBufferOp : AttnRT_Op<"weight_buffer", [Pure]> {
  let summary = "the mapped bytes of a weight";
  let description = [{
    The weight with number `index` in the module's table, as a read-only
    buffer in row-major order. Prepared tensors follow the weights.

    Example:
    ```mlir
    %w = attn_rt.weight_buffer 3 : memref<384xf32>
    ```
  }];
  let arguments = (ins I64Attr:$index);
  let results = (outs AnyStaticShapeMemRef:$result);
  let assemblyFormat = "custom<Offset>($index) attr-dict `:` type($result)";
}

def AttnRT_PreparedOp : AttnRT_Op<"prepared", [Pure]> {
  let summary = "a tensor that is computed once for a loaded module";
  let description = [{
    Result `index` of the module's function `attn_init`, which depends on
    weights and constants only. The runtime calls that function when it loads
    the module and keeps its results until it unloads it.

    Example:
    ```mlir
    %w = attn_rt.prepared 0 : tensor<384x384xf32>
    ```
  }];
  let arguments = (ins I64Attr:$index);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "custom<Offset>($index) attr-dict `:` type($result)";
}

def AttnRT_MatmulOp : AttnRT_Op<"matmul", [
    DeclareOpInterfaceMethods<DestinationStyleOpInterface,
                              ["getDpsInitsMutable"]>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface, ["getEffects"]>
  ]> {
  let summary = "a matrix product by the runtime's library";
  let description = [{
    `out = activation(a * b + bias)` for `a` [.., M, K], `b` [.., K, N], `out`
    [.., M, N] of equal rank and a bias [N]; with `accumulate`,
    `out = out + a * b`. The leading sizes of `a` and `b` are those of `out` or
    1. With `transpose_a` or `transpose_b` the last two dimensions of that
    operand are stored the other way round. `constant_b` promises that `b` has
    the same elements at each call, so that the runtime packs it once.

    Activations: `none`, `relu`, `gelu_erf`, `gelu_tanh`, `silu`, `tanh`.

    Works on tensors and, after bufferization, on buffers.

    Example:
    ```mlir
    %y = attn_rt.matmul gelu_erf
        ins(%a, %b, %bias : tensor<?x384xf32>, tensor<384x1536xf32>, tensor<1536xf32>)
        outs(%init : tensor<?x1536xf32>) {constant_b} -> tensor<?x1536xf32>
    ```
  }];
  let arguments = (ins AnyShaped:$a, AnyShaped:$b, Optional<AnyShaped>:$bias,
                       AnyShaped:$out, StrAttr:$activation,
                       UnitAttr:$transpose_a, UnitAttr:$transpose_b,
                       UnitAttr:$constant_b, UnitAttr:$accumulate);
  let results = (outs Optional<AnyRankedTensor>:$result);
  let assemblyFormat = [{
    custom<Keyword>($activation)
    `ins` `(` $a `,` $b (`,` $bias^)? `:` type($a) `,` type($b)
      (`,` type($bias)^)? `)`
    `outs` `(` $out `:` type($out) `)` attr-dict (`->` type($result)^)?
  }];
  let hasVerifier = 1;
}

def AttnRT_ConvOp : AttnRT_Op<"conv", [
    DeclareOpInterfaceMethods<DestinationStyleOpInterface,
                              ["getDpsInitsMutable"]>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface, ["getEffects"]>
  ]> {
  let summary = "a convolution by the runtime's library";
  let description = [{
    `out = activation(conv(x, w) + bias)` for `x` [N, C, spatial..], `w`
    [M, C / groups, kernel..], `out` [N, M, spatial..] and a bias [M] in f32,
    over one to three spatial dimensions. Each has a stride, a dilation, and
    zeros that are added before (`pads_low`) and after (`pads_high`) the input.
    `constant_w` promises that `w` has the same elements at each call, so that
    the runtime packs it once. Activations are those of `attn_rt.matmul`.

    `x` and `w` have one element type, f32 or bf16; `out` is f32.

    Example:
    ```mlir
    %y = attn_rt.conv relu
        ins(%x, %w, %bias : tensor<?x64x56x56xf32>, tensor<64x64x3x3xf32>, tensor<64xf32>)
        outs(%init : tensor<?x64x56x56xf32>)
        {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>,
         pads_low = array<i64: 1, 1>, pads_high = array<i64: 1, 1>,
         groups = 1 : i64, constant_w} -> tensor<?x64x56x56xf32>
    ```
  }];
  let arguments = (ins AnyShaped:$x, AnyShaped:$w, Optional<AnyShaped>:$bias,
                       AnyShaped:$out, StrAttr:$activation,
                       DenseI64ArrayAttr:$strides,
                       DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pads_low,
                       DenseI64ArrayAttr:$pads_high, I64Attr:$groups,
                       UnitAttr:$constant_w);
  let results = (outs Optional<AnyRankedTensor>:$result);
  let assemblyFormat = [{
    custom<Keyword>($activation)
    `ins` `(` $x `,` $w (`,` $bias^)? `:` type($x) `,` type($w)
      (`,` type($bias)^)? `)`
    `outs` `(` $out `:` type($out) `)` attr-dict (`->` type($result)^)?
  }];
  let hasVerifier = 1;
}

#endif // ATTN_RUNTIME_OPS_TD
