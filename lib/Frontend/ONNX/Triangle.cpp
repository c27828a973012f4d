//===- Triangle.cpp - Stored triangles are computed -----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Triangle.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

namespace {
struct Triangle {
  unsigned rowDim, columnDim;
  /// Row `r` holds `low` in columns up to `r + diagonal`, then `high`.
  int64_t diagonal;
  StringRef low, high;
};
} // namespace

static std::optional<Triangle> findTriangle(RankedTensorType type,
                                            StringRef raw) {
  SmallVector<unsigned> dims;
  for (auto [dim, size] : llvm::enumerate(type.getShape()))
    if (size != 1)
      dims.push_back(dim);
  if (dims.size() != 2)
    return std::nullopt;
  size_t rows = type.getDimSize(dims[0]), columns = type.getDimSize(dims[1]);
  if (rows == 0 || columns == 0)
    return std::nullopt;
  size_t width = raw.size() / (rows * columns);
  auto entry = [&](size_t r, size_t c) {
    return raw.substr((r * columns + c) * width, width);
  };
  Triangle result{dims[0], dims[1], 0, entry(rows - 1, 0),
                  entry(0, columns - 1)};
  if (result.low == result.high)
    return std::nullopt;
  size_t kept = 0;
  while (kept < columns && entry(0, kept) == result.low)
    ++kept;
  result.diagonal = static_cast<int64_t>(kept) - 1;
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c)
      if (entry(r, c) != (c < r + kept ? result.low : result.high))
        return std::nullopt;
  return result;
}

static TypedAttr numberFrom(Type element, StringRef bytes) {
  if (element.isInteger(1))
    return BoolAttr::get(element.getContext(), bytes.front() != 0);
  auto type = RankedTensorType::get({1}, element);
  ArrayRef<char> raw(bytes.data(), bytes.size());
  return cast<TypedAttr>(DenseElementsAttr::getFromRawBuffer(type, raw)
                             .getSplatValue<Attribute>());
}

Value onnx::emitTriangle(Emitter &emit, RankedTensorType type, StringRef raw) {
  std::optional<Triangle> triangle = findTriangle(type, raw);
  if (!triangle)
    return {};
  Type element = type.getElementType();
  Location loc = emit.getLoc();
  Value init = emit.atEntry([&](OpBuilder &b) -> Value {
    return tensor::EmptyOp::create(b, loc, type.getShape(), element);
  });
  auto body = [&](OpBuilder &b, Location l, ValueRange) {
    Value row = linalg::IndexOp::create(b, l, triangle->rowDim);
    Value column = linalg::IndexOp::create(b, l, triangle->columnDim);
    Value diagonal = arith::ConstantIndexOp::create(b, l, triangle->diagonal);
    Value last = arith::AddIOp::create(b, l, row, diagonal);
    Value isLow =
        arith::CmpIOp::create(b, l, arith::CmpIPredicate::sle, column, last);
    Value low =
        arith::ConstantOp::create(b, l, numberFrom(element, triangle->low));
    Value high =
        arith::ConstantOp::create(b, l, numberFrom(element, triangle->high));
    Value entry = arith::SelectOp::create(b, l, isLow, low, high);
    linalg::YieldOp::create(b, l, entry);
  };
  return emit.atEntry([&](OpBuilder &b) -> Value {
    SmallVector<AffineMap> maps{
        b.getMultiDimIdentityMap(static_cast<unsigned>(type.getRank()))};
    SmallVector<utils::IteratorType> iterators(type.getRank(),
                                               utils::IteratorType::parallel);
    return linalg::GenericOp::create(b, loc, TypeRange(type), ValueRange(),
                                     ValueRange(init), maps, iterators, body)
        .getResult(0);
  });
}
