//===- RuntimeAxes.cpp - Axes that are read at run time -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RuntimeAxes.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

std::optional<RuntimeAxes> onnx::readRuntimeAxes(Emitter &emit,
                                                 TensorValue &axes,
                                                 int64_t rank, bool addsRank) {
  std::optional<SmallVector<Dim>> given = emit.elementsOf(axes);
  if (!given)
    return std::nullopt;
  RuntimeAxes result;
  result.count = static_cast<int64_t>(given->size());
  if (addsRank)
    rank += result.count;
  if (result.count > rank)
    return std::nullopt;
  OpBuilder &b = emit.getBuilder();
  Indices i{b, emit.getLoc()};
  SmallVector<Value> places;
  for (const Dim &axis : *given) {
    Value value = emit.indexValue(axis);
    Value wrapped = i.add(value, i.number(rank));
    places.push_back(i.select(i.less(value, i.number(0)), wrapped, value));
  }
  for (int64_t d = 0; d < rank; ++d) {
    Value isIt;
    for (Value place : places) {
      Value equal = i.equal(place, i.number(d));
      isIt =
          isIt ? arith::OrIOp::create(b, emit.getLoc(), isIt, equal).getResult()
               : equal;
    }
    if (!isIt)
      isIt = arith::ConstantOp::create(b, emit.getLoc(), b.getBoolAttr(false));
    result.isGiven.push_back(isIt);
  }
  return result;
}

Shape RuntimeAxes::withOnes(Emitter &emit, ArrayRef<Dim> shape) const {
  Indices i{emit.getBuilder(), emit.getLoc()};
  Shape result;
  for (auto [given, dim] : llvm::zip(isGiven, shape))
    result.push_back(dim.is(1) ? dim
                               : emit.newSymbol(i.select(given, i.number(1),
                                                         emit.indexValue(dim)),
                                                true));
  return result;
}

Shape RuntimeAxes::without(Emitter &emit, ArrayRef<Dim> shape) const {
  Indices i{emit.getBuilder(), emit.getLoc()};
  SmallVector<Value> dims(shape.size() - static_cast<size_t>(count),
                          i.number(1));
  // Each dimension that stays goes to the next free place.
  Value next = i.number(0);
  for (auto [given, dim] : llvm::zip(isGiven, shape)) {
    Value size = emit.indexValue(dim);
    for (auto [j, slot] : llvm::enumerate(dims)) {
      Value isHere = i.equal(next, i.number(static_cast<int64_t>(j)));
      Value written = i.select(isHere, size, slot);
      slot = i.select(given, slot, written);
    }
    next = i.select(given, next, i.add(next, i.number(1)));
  }
  Shape result;
  for (Value dim : dims)
    result.push_back(emit.newSymbol(dim, true));
  return result;
}

Shape RuntimeAxes::inserted(Emitter &emit, ArrayRef<Dim> shape) const {
  Indices i{emit.getBuilder(), emit.getLoc()};
  Shape result;
  Value next = i.number(0);
  for (Value given : isGiven) {
    Value size = i.number(1);
    for (auto [j, dim] : llvm::enumerate(shape))
      size = i.select(i.equal(next, i.number(static_cast<int64_t>(j))),
                      emit.indexValue(dim), size);
    result.push_back(emit.newSymbol(i.select(given, i.number(1), size), true));
    next = i.select(given, next, i.add(next, i.number(1)));
  }
  return result;
}
