//===- NVOps.td - Instructions of NVIDIA GPUs without an NVVM op ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_NV_OPS_TD
#define ATTN_NV_OPS_TD

include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def AttnNV_Dialect : Dialect {
  let name = "attn_nv";
  let cppNamespace = "::mlir::attn::nv";
  let useDefaultAttributePrinterParser = 1;
  let summary = "instructions of NVIDIA GPUs that have no NVVM operation";
  let description = [{
    One operation for each target instruction that a kernel needs and that the
    `nvvm` dialect lacks, or has in a form that hides a dependence. They stand
    in the final gpu module beside `llvm` and `nvvm` operations, and have two
    lowerings: `attn-nv-to-ptx` makes PTX of them, `attn-emulate` makes calls
    of the emulator. All operands have types of the LLVM dialect.
  }];
}

class AttnNV_Op<string mnemonic, list<Trait> traits = []>
    : Op<AttnNV_Dialect, mnemonic, traits>;

def AttnNV_SharedPtr : LLVM_PointerInAddressSpace<3>;

def AttnNV_MatrixType : I32EnumAttr<"MatrixType", "element type of A and B", [
    I32EnumAttrCase<"f16", 0>, I32EnumAttrCase<"bf16", 1>,
    I32EnumAttrCase<"tf32", 2>]> {
  let cppNamespace = "::mlir::attn::nv";
  let genSpecializedAttr = 0;
}
def AttnNV_MatrixTypeAttr
    : EnumAttr<AttnNV_Dialect, AttnNV_MatrixType, "matrix_type"> {
  let summary = "element type of A and B of a matrix product";
  let description = [{
    One of `f16`, `bf16`, `tf32`.

    Example:
    ```mlir
    #attn_nv<matrix_type bf16>
    ```
  }];
}

// One accumulator: a thread's share of a 64 x N tile in f32.
def AttnNV_Accumulator : VectorOfRankAndType<[1], [F32]>;
// A's share of a thread, K = 16 (f16, bf16) or K = 8 (tf32).
def AttnNV_Registers : VectorOfLengthAndType<[4], [I32]>;
def AttnNV_Fragment : AnyTypeOf<[AttnNV_Accumulator, AttnNV_Registers]>;

def AttnNV_WgmmaOp : AttnNV_Op<"wgmma"> {
  let summary = "asynchronous matrix product of a warpgroup";
  let description = [{
    `wgmma.mma_async.sync.aligned.m64nNkK.f32.T.T`: D = A * B + D for a 64 x N
    tile of f32, where N is twice the length of the result vector (a multiple
    of 8 up to 256) and K is 16 for f16 and bf16, 8 for tf32.

    `a` is a shared memory descriptor (i64) or the thread's registers
    (`vector<4xi32>`); `b` is a descriptor. `trans_a` and `trans_b` say that a
    descriptor's operand is stored with M or N contiguous instead of K; f16 and
    bf16 only, and `trans_a` only with a descriptor. Without `accumulator` the
    product starts afresh (scale-d is false).

    Element `4 j + 2 i + c` of the vectors belongs to row
    `16 w + t / 4 + 8 i` and column `8 j + 2 (t % 4) + c` of the tile, for lane
    `t` of warp `w` in the warpgroup.

    The result may be used by other `attn_nv.wgmma` operations of the same
    shape only, until an `attn_nv.wgmma_wait` that covers its group has passed
    it on. `attn_nv.wgmma_fence` comes first whenever registers were written.

    Example:
    ```mlir
    %s0 = attn_nv.wgmma bf16 %q, %k : i64 -> vector<64xf32>
    %s1 = attn_nv.wgmma bf16 %q1, %k1, %s0 : i64 -> vector<64xf32>
    %o1 = attn_nv.wgmma bf16 %p, %v, %o {trans_b} : vector<4xi32> -> vector<64xf32>
    ```
  }];
  let arguments = (ins AttnNV_MatrixTypeAttr:$element,
                       AnyTypeOf<[I64, AttnNV_Registers]>:$a, I64:$b,
                       Optional<AttnNV_Accumulator>:$accumulator,
                       UnitAttr:$trans_a, UnitAttr:$trans_b);
  let results = (outs AttnNV_Accumulator:$result);
  let assemblyFormat = [{
    $element $a `,` $b (`,` $accumulator^)? attr-dict
      `:` type($a) `->` custom<AccumulatorType>(type($result), ref($accumulator), type($accumulator))
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Columns of the tile.
    int64_t getN() { return 2 * getResult().getType().getNumElements(); }
    /// Depth of one instruction.
    int64_t getK() { return getElement() == MatrixType::tf32 ? 8 : 16; }
    bool hasRegisterA() { return ::mlir::isa<VectorType>(getA().getType()); }
  }];
}

def AttnNV_WgmmaFenceOp : AttnNV_Op<"wgmma_fence"> {
  let summary = "order register accesses before wgmma";
  let description = [{
    `wgmma.fence.sync.aligned`. The values are passed on, so that no scheduler
    moves what computes them behind the fence; there may be none.

    Example:
    ```mlir
    %o1, %p1 = attn_nv.wgmma_fence (%o, %p : vector<64xf32>, vector<4xi32>)
    ```
  }];
  let arguments = (ins Variadic<AttnNV_Fragment>:$values);
  let results = (outs Variadic<AttnNV_Fragment>:$results);
  let assemblyFormat = "custom<PassedOn>($values, type($values), type($results)) attr-dict";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "ValueRange":$values), [{
    build($_builder, $_state, values.getTypes(), values);
  }]>];
}

def AttnNV_WgmmaWaitOp : AttnNV_Op<"wgmma_wait"> {
  let summary = "wait for groups of wgmma";
  let description = [{
    `wgmma.wait_group.sync.aligned N`: waits until at most `pending` of the
    groups that `nvvm.wgmma.commit.group.sync.aligned` closed are unfinished.
    The accumulators that are finished by then are passed on; only the results
    may be read. An accumulator of a group that may still be pending must not
    be among them.

    Example:
    ```mlir
    %s1 = attn_nv.wgmma_wait 1 (%s : vector<64xf32>)
    ```
  }];
  let arguments = (ins ConfinedAttr<I32Attr, [IntNonNegative,
                           IntMaxValue<7>]>:$pending,
                       Variadic<AttnNV_Accumulator>:$values);
  let results = (outs Variadic<AttnNV_Accumulator>:$results);
  let assemblyFormat = "$pending custom<PassedOn>($values, type($values), type($results)) attr-dict";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "int32_t":$pending, "ValueRange":$values), [{
    build($_builder, $_state, values.getTypes(), pending, values);
  }]>];
}

def AttnNV_MBarrierArriveOp : AttnNV_Op<"mbarrier_arrive"> {
  let summary = "predicated arrival at an mbarrier";
  let description = [{
    `@p mbarrier.arrive.shared::cta.b64 _, [barrier]` without a branch.

    Example:
    ```mlir
    func.func @f(%barrier: !llvm.ptr<3>, %lead: i1) {
      attn_nv.mbarrier_arrive %barrier if %lead
      return
    }
    ```
  }];
  let arguments = (ins AttnNV_SharedPtr:$barrier, I1:$predicate);
  let assemblyFormat = "$barrier `if` $predicate attr-dict";
}

def AttnNV_MBarrierWaitOp : AttnNV_Op<"mbarrier_wait"> {
  let summary = "wait until a phase of an mbarrier is complete";
  let description = [{
    A loop around `mbarrier.try_wait.parity.shared::cta.b64` that ends when the
    phase with the given parity (0 or 1) is complete.

    Example:
    ```mlir
    func.func @f(%barrier: !llvm.ptr<3>, %parity: i32) {
      attn_nv.mbarrier_wait %barrier, %parity
      return
    }
    ```
  }];
  let arguments = (ins AttnNV_SharedPtr:$barrier, I32:$parity);
  let assemblyFormat = "$barrier `,` $parity attr-dict";
}

class AttnNV_UnaryOp<string mnemonic>
    : AttnNV_Op<mnemonic, [Pure, SameOperandsAndResultType]> {
  let arguments = (ins F32:$operand);
  let results = (outs F32:$result);
  let assemblyFormat = "$operand attr-dict";
}

def AttnNV_Exp2Op : AttnNV_UnaryOp<"exp2"> {
  let summary = "2 to a power, approximately";
  let description = [{
    `ex2.approx.ftz.f32`: relative error below 2^-22; subnormal inputs and
    results are zero.

    Example:
    ```mlir
    %y = attn_nv.exp2 %x
    ```
  }];
}

def AttnNV_Log2Op : AttnNV_UnaryOp<"log2"> {
  let summary = "logarithm of base 2, approximately";
  let description = [{
    `lg2.approx.ftz.f32`: absolute error below 2^-22 near 1, relative error
    below 2^-22 elsewhere; subnormal inputs are zero.

    Example:
    ```mlir
    %y = attn_nv.log2 %x
    ```
  }];
}

def AttnNV_TanhOp : AttnNV_UnaryOp<"tanh"> {
  let summary = "hyperbolic tangent, approximately";
  let description = [{
    `tanh.approx.f32`: relative error below 2^-11.

    Example:
    ```mlir
    %y = attn_nv.tanh %x
    ```
  }];
}

def AttnNV_RcpOp : AttnNV_UnaryOp<"rcp"> {
  let summary = "reciprocal, approximately";
  let description = [{
    `rcp.approx.ftz.f32`: error below 1 ulp; subnormal inputs and results are
    zero.

    Example:
    ```mlir
    %y = attn_nv.rcp %x
    ```
  }];
}

#endif // ATTN_NV_OPS_TD
