//===- AttnEnums.td - Closed enumerations of the attn dialect -------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_ENUMS_TD
#define ATTN_ENUMS_TD

include "attn/Dialect/Attn/IR/AttnDialect.td"
include "mlir/IR/EnumAttr.td"

def Attn_BiasOrder : I32EnumAttr<"BiasOrder",
    "whether the bias is added to a score before or after the softcap", [
  I32EnumAttrCase<"AfterSoftcap", 0, "after_softcap">,
  I32EnumAttrCase<"BeforeSoftcap", 1, "before_softcap">
]> {
  let cppNamespace = "::mlir::attn";
  let genSpecializedAttr = 0;
}
def Attn_BiasOrderAttr : EnumAttr<Attn_Dialect, Attn_BiasOrder, "bias_order"> {
  let description = [{
    Example: `#attn.bias_order<before_softcap>`
  }];
  let assemblyFormat = "`<` $value `>`";
}

def Attn_StrideAnchor : I32EnumAttr<"StrideAnchor",
    "what a strided mask counts its stride from", [
  I32EnumAttrCase<"Query", 0, "query">,
  I32EnumAttrCase<"Origin", 1, "origin">
]> {
  let cppNamespace = "::mlir::attn";
  let genSpecializedAttr = 0;
}
def Attn_StrideAnchorParam : EnumParameter<Attn_StrideAnchor>;

def Attn_BlockLayout : I32EnumAttr<"BlockLayout",
    "how the lists of a block mask lie in its operands", [
  I32EnumAttrCase<"Padded", 0, "padded">,
  I32EnumAttrCase<"Csr", 1, "csr">,
  I32EnumAttrCase<"Members", 2, "members">,
  I32EnumAttrCase<"Sorted", 3, "sorted">
]> {
  let cppNamespace = "::mlir::attn";
  let genSpecializedAttr = 0;
}
def Attn_BlockLayoutParam : EnumParameter<Attn_BlockLayout>;

def Attn_CacheMode : I32EnumAttr<"CacheMode",
    "what happens to rows written past the end of a cache", [
  I32EnumAttrCase<"Linear", 0, "linear">,
  I32EnumAttrCase<"Circular", 1, "circular">
]> {
  let cppNamespace = "::mlir::attn";
  let genSpecializedAttr = 0;
}
def Attn_CacheModeAttr : EnumAttr<Attn_Dialect, Attn_CacheMode, "cache_mode"> {
  let description = [{
    Example: `#attn.cache_mode<circular>`
  }];
  let assemblyFormat = "`<` $value `>`";
}

#endif // ATTN_ENUMS_TD
