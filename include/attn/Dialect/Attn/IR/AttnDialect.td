//===- AttnDialect.td - The attn dialect and its base classes -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DIALECT_TD
#define ATTN_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def Attn_Dialect : Dialect {
  let name = "attn";
  let cppNamespace = "::mlir::attn";
  let summary = "attention on tensors, with masks as an algebra of attributes";
  let description = [{
    Attention and the operations around it, on ranked tensors. A mechanism is
    a choice on four independent axes: which queries a head works on, which
    keys a query visits, what happens to a score, and how values are reduced.
    A mask is an attribute that implements `MaskAttrInterface`; no pass and no
    target names a concrete kind.

    | Symbol | Meaning |
    |--------|---------|
    | `B`    | batch |
    | `H`, `Hkv` | query heads and key/value heads; `Hkv` divides `H`; query head `h` uses key/value head `h / (H / Hkv)` |
    | `Sq`, `Skv` | query and key length, in tokens |
    | `D`, `Dv` | head dimension of queries and keys, and of values |
    | position | query row `i` stands at position `i + query_offset`, key row `j` at `j` |

    Every operation has a decomposition to `linalg` (`attn-decompose`), which
    is its meaning.
  }];
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    /// Operations of the families that have a header of their own.
    void registerSelectionOps();
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"
  ];
}

class Attn_Op<string mnemonic, list<Trait> traits = []>
    : Op<Attn_Dialect, mnemonic, traits>;

class Attn_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Attn_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

//===----------------------------------------------------------------------===//
// Shared type constraints
//===----------------------------------------------------------------------===//

def Attn_Float : AnyTypeOf<[F16, BF16, F32, F64], "f16, bf16, f32 or f64">;
def Attn_FloatTensor : RankedTensorOf<[Attn_Float]>;
def Attn_FloatTensor4D : TensorRankOf<[Attn_Float], [4]>;
def Attn_FloatTensor2DOr3D : TensorRankOf<[Attn_Float], [2, 3]>;
def Attn_FloatTensor3D : TensorRankOf<[Attn_Float], [3]>;
def Attn_FloatTensor1D : TensorRankOf<[Attn_Float], [1]>;
def Attn_LseTensor : TensorRankOf<[F32, F64], [3]>;
def Attn_BoolTensor4D : TensorRankOf<[I1], [4]>;
def Attn_IndexLike : AnyTypeOf<[I32, I64, Index], "i32, i64 or index">;
def Attn_IndexTensor1D : TensorRankOf<[Attn_IndexLike], [1]>;
def Attn_IndexTensor1DOr2D : TensorRankOf<[Attn_IndexLike], [1, 2]>;
def Attn_IndexTensor2D : TensorRankOf<[Attn_IndexLike], [2]>;
def Attn_IndexTensor3D : TensorRankOf<[Attn_IndexLike], [3]>;

#endif // ATTN_DIALECT_TD
