//===- AttnInterfaces.td - Interfaces that passes drive -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_INTERFACES_TD
#define ATTN_INTERFACES_TD

include "mlir/IR/OpBase.td"

def Attn_MaskAttrInterface : AttrInterface<"MaskAttrInterface"> {
  let cppNamespace = "::mlir::attn";
  let description = [{
    Which (query, key) pairs an attention keeps. Passes and targets see a mask
    only through these methods. Index arithmetic is on `OpFoldResult`: with
    constant arguments nothing is built and the results are constants, which
    is how a tile is classified at compile time.

    The answers must agree: a pair in `fullIntervals` is kept, a pair outside
    of `visitIntervals` and `visitLists` is not. The property test in
    `test/unit/Dialect/MaskTest.cpp` checks every kind and random
    compositions of them.
  }];
  let methods = [
    InterfaceMethod<[{
        The predicate: an `i1` that says whether the pair `point` is kept.
      }], "::mlir::OpFoldResult", "keep",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "const ::mlir::attn::MaskPoint &":$point)>,
    InterfaceMethod<[{
        Half-open key intervals that cover, together with `visitLists`, every
        kept pair of the query tile. They may overlap and may reach beyond the
        keys; the caller clips.
      }], "::mlir::attn::KeyIntervals", "visitIntervals",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "const ::mlir::attn::MaskTile &":$tile)>,
    InterfaceMethod<[{
        Half-open key intervals in which every pair of the query tile is kept.
        An empty list is always a correct answer.
      }], "::mlir::attn::KeyIntervals", "fullIntervals",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "const ::mlir::attn::MaskTile &":$tile)>,
    InterfaceMethod<[{
        Lists of key intervals whose number or place is known at run time: see
        `KeyList`. A key may be in intervals and in lists; the caller visits it
        once.
      }], "::mlir::attn::KeyLists", "visitLists",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "const ::mlir::attn::MaskTile &":$tile),
      /*methodBody=*/"", /*defaultImplementation=*/"return {};">,
    InterfaceMethod<[{
        So many heads, from a multiple of it on, see the same mask; 0 for all
        of them. `heads` is their number.
      }], "int64_t", "getHeadsAlike",
      (ins "int64_t":$heads, "::mlir::TypeRange":$operandTypes),
      /*methodBody=*/"", /*defaultImplementation=*/"return 0;">,
    InterfaceMethod<[{
        An equal mask over other operands that the methods above can read. It
        is called once for an attention, before them, and may build checks of
        what types leave open. `operands` are those of this mask and become
        those of the result.
      }], "::mlir::Attribute", "prepare",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "const ::mlir::attn::MaskSizes &":$sizes,
           "::llvm::SmallVectorImpl<::mlir::Value> &":$operands),
      /*methodBody=*/"", /*defaultImplementation=*/"return $_attr;">,
    InterfaceMethod<[{
        How many operands of the attention this mask reads at run time. A
        composed mask hands its operands to its members in order.
      }], "unsigned", "getNumMaskOperands", (ins),
      /*methodBody=*/"", /*defaultImplementation=*/"return 0;">,
    InterfaceMethod<[{
        Upper bound of the keys that a row keeps, as far as the mask and the
        types of its operands tell. Of a mask without operands it is their
        number, to the accuracy of a report.
      }], "int64_t", "getMaxKeys",
      (ins "const ::mlir::attn::MaskRow &":$row),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        return ::mlir::attn::countKeys($_attr, row);
      }]>,
    InterfaceMethod<[{
        Checks the mask against the attention that carries it: number of
        heads, types and shapes of its operands. `emit` starts the diagnostic.
      }], "::llvm::LogicalResult", "verifyMask",
      (ins "const ::mlir::attn::MaskUse &":$use,
           "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emit),
      /*methodBody=*/"", /*defaultImplementation=*/"return ::mlir::success();">,
    InterfaceMethod<[{
        An equal mask in its simplest form, or the mask itself. `operands`
        numbers the tensors that this mask reads (equal numbers: the same
        tensor) and becomes the list of those that the result reads.
      }], "::mlir::Attribute", "simplify",
      (ins "::llvm::SmallVectorImpl<unsigned> &":$operands),
      /*methodBody=*/"", /*defaultImplementation=*/"return $_attr;">
  ];
}

#endif // ATTN_INTERFACES_TD
