//===- Checks.cpp - What verifiers of selections share --------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Checks.h"

using namespace mlir;
using namespace mlir::attn;

static bool known(int64_t size) { return !ShapedType::isDynamic(size); }

static LogicalResult unequal(Operation *op, NamedTensor a, unsigned i,
                             NamedTensor b, unsigned j, StringRef rule) {
  return op->emitOpError("expects dimension ")
         << i << " of '" << a.name << "' to be " << rule << " dimension " << j
         << " of '" << b.name << "', but they are " << a.type.getDimSize(i)
         << " and " << b.type.getDimSize(j);
}

LogicalResult mlir::attn::checkEqual(Operation *op, NamedTensor a, unsigned i,
                                     NamedTensor b, unsigned j) {
  if (!a.type || !b.type)
    return success();
  int64_t x = a.type.getDimSize(i), y = b.type.getDimSize(j);
  if (!known(x) || !known(y) || x == y)
    return success();
  return unequal(op, a, i, b, j, "equal to");
}

LogicalResult mlir::attn::checkOneOrEqual(Operation *op, NamedTensor a,
                                          unsigned i, NamedTensor b,
                                          unsigned j) {
  if (!a.type || !b.type)
    return success();
  int64_t x = a.type.getDimSize(i), y = b.type.getDimSize(j);
  if (!known(x) || !known(y) || x == y || x == 1)
    return success();
  return unequal(op, a, i, b, j, "1 or equal to");
}

LogicalResult mlir::attn::checkSize(Operation *op, NamedTensor a, unsigned i,
                                    int64_t size, StringRef why) {
  if (!a.type || !known(size) || !known(a.type.getDimSize(i)) ||
      a.type.getDimSize(i) == size)
    return success();
  return op->emitOpError("expects dimension ")
         << i << " of '" << a.name << "' to be " << size << ", " << why
         << ", but it is " << a.type.getDimSize(i);
}

LogicalResult mlir::attn::checkRank(Operation *op, NamedTensor a, int64_t rank,
                                    StringRef why) {
  if (!a.type || a.type.getRank() == rank)
    return success();
  return op->emitOpError("expects '")
         << a.name << "' to have rank " << rank << ", " << why
         << ", but its rank is " << a.type.getRank();
}

LogicalResult mlir::attn::checkElement(Operation *op, NamedTensor a,
                                       NamedTensor b) {
  if (!a.type || !b.type || a.type.getElementType() == b.type.getElementType())
    return success();
  return op->emitOpError("expects '")
         << a.name << "' to have the element type of '" << b.name
         << "', but they are " << a.type.getElementType() << " and "
         << b.type.getElementType();
}

LogicalResult mlir::attn::checkAtLeast(Operation *op, StringRef name,
                                       int64_t number, int64_t least) {
  if (number >= least)
    return success();
  return op->emitOpError("expects '")
         << name << "' to be at least " << least << ", but it is " << number;
}
