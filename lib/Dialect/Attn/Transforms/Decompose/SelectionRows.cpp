//===- SelectionRows.cpp - Rows of scores, ready to choose from -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SelectionRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

static AffineMap dims(MLIRContext *context, unsigned loops,
                      ArrayRef<unsigned> positions) {
  SmallVector<AffineExpr> exprs;
  for (unsigned i : positions)
    exprs.push_back(getAffineDimExpr(i, context));
  return AffineMap::get(loops, 0, exprs, context);
}

static Value buildInteger(ImplicitLocOpBuilder &b, Type type, APInt value) {
  return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
}

Value SelectionRows::none(ImplicitLocOpBuilder &b) const {
  return buildInteger(b, imageType,
                      APInt::getSignedMinValue(imageType.getWidth()));
}

Value SelectionRows::forced(ImplicitLocOpBuilder &b) const {
  return buildInteger(b, imageType,
                      APInt::getSignedMaxValue(imageType.getWidth()));
}

Value mlir::attn::convertFromIndex(ImplicitLocOpBuilder &b, Value value,
                                   Type type) {
  if (type.isIndex())
    return value;
  return arith::IndexCastOp::create(b, type, value);
}

Value mlir::attn::addIf(ImplicitLocOpBuilder &b, Value condition, Value sum,
                        Value x) {
  Value more = isa<FloatType>(x.getType())
                   ? Value(arith::AddFOp::create(b, sum, x))
                   : Value(arith::AddIOp::create(b, sum, x));
  return arith::SelectOp::create(b, condition, more, sum);
}

Value mlir::attn::joinLeading(ImplicitLocOpBuilder &b, Value tensor,
                              int64_t kept) {
  auto type = cast<RankedTensorType>(tensor.getType());
  int64_t leading = type.getRank() - kept;
  if (leading == 1)
    return tensor;
  SmallVector<ReassociationIndices> groups;
  if (leading == 0) {
    SmallVector<int64_t> shape(type.getShape());
    shape.insert(shape.begin(), 1);
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(b, b.getLoc(), tensor);
    sizes.insert(sizes.begin(), b.getIndexAttr(1));
    for (int64_t i = 0; i < kept; ++i)
      groups.push_back({i});
    if (kept)
      groups[0] = {0, 1};
    for (int64_t i = 1; i < kept; ++i)
      groups[i] = {i + 1};
    return tensor::ExpandShapeOp::create(b, type.clone(shape), tensor, groups,
                                         sizes);
  }
  groups.emplace_back(llvm::to_vector<2>(llvm::seq<int64_t>(0, leading)));
  for (int64_t i = 0; i < kept; ++i)
    groups.push_back({leading + i});
  return tensor::CollapseShapeOp::create(b, tensor, groups);
}

RowNumber mlir::attn::buildRowNumber(ImplicitLocOpBuilder &b, Value operand,
                                     Value like,
                                     ArrayRef<OpFoldResult> leading) {
  if (!operand || operand.getType().isIndex())
    return {operand, {}};
  if (leading.empty())
    return {convertToIndex(b, tensor::ExtractOp::create(b, operand)), {}};
  bool whole = true;
  for (unsigned i = 0; i < leading.size(); ++i)
    whole &= classifyDim(operand, i, like, i) == DimExtent::Whole;
  if (!whole) {
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(b, b.getLoc(), operand);
    Value source = operand;
    operand = buildElementwise(
        b, {}, leading,
        cast<RankedTensorType>(source.getType()).getElementType(),
        [&](ImplicitLocOpBuilder &b, ValueRange) {
          SmallVector<Value> at;
          for (unsigned i = 0; i < leading.size(); ++i)
            at.push_back(linalg::IndexOp::create(b, i));
          return extractBroadcast(b, source, sizes, at);
        });
  }
  return {{}, joinLeading(b, operand, 0)};
}

/// An integer of the order of `x`; both zeros are one.
static Value buildImage(ImplicitLocOpBuilder &b, Value x, IntegerType type) {
  unsigned width = type.getWidth();
  Value bits = arith::BitcastOp::create(b, type, x);
  Value sign = arith::ShRSIOp::create(
      b, bits, buildInteger(b, type, APInt(width, width - 1)));
  Value flip = arith::AndIOp::create(
      b, sign, buildInteger(b, type, APInt::getSignedMaxValue(width)));
  Value image = arith::XOrIOp::create(b, bits, flip);
  auto floats = cast<FloatType>(x.getType());
  Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x,
                                       buildFloat(b, floats, 0));
  return arith::SelectOp::create(
      b, isZero, buildInteger(b, type, APInt::getZero(width)), image);
}

SelectionRows mlir::attn::buildSelectionRows(ImplicitLocOpBuilder &b,
                                             TopKOp op) {
  MLIRContext *context = b.getContext();
  SelectionRows result;
  FloatType compute = computeTypeOf(op.getScores());
  result.imageType = b.getIntegerType(compute.getWidth());
  SmallVector<OpFoldResult> leading =
      tensor::getMixedSizes(b, b.getLoc(), op.getScores());
  leading.pop_back();
  Value scores = joinLeading(b, op.getScores(), 1);
  result.rows = tensor::getMixedSize(b, b.getLoc(), scores, 0);
  result.columns = tensor::getMixedSize(b, b.getLoc(), scores, 1);
  result.capacity =
      op.getCapacity()
          ? IndexMath(b, b.getLoc()).max(op.getCapacity(), b.getIndexAttr(0))
          : b.getIndexAttr(cast<RankedTensorType>(op.getIndices().getType())
                               .getShape()
                               .back());
  auto number = [&](Value operand) {
    return buildRowNumber(b, operand, op.getScores(), leading);
  };
  RowNumber budget = number(op.getBudget()), limit = number(op.getLimits()),
            own = number(op.getOwn());
  SmallVector<OpFoldResult> shape = {result.rows, result.columns};
  AffineMap all = dims(context, 2, {0, 1}), ofRow = dims(context, 2, {0});

  double minusInf = -std::numeric_limits<double>::infinity();
  double above = op.getBy() == Selection::Threshold
                     ? op.getBound()->convertToDouble()
                     : minusInf;
  SmallVector<MappedTensor> inputs = {{scores, all}};
  for (const RowNumber &x : {limit, own})
    if (x.tensor)
      inputs.push_back({x.tensor, ofRow});
  result.images = buildElementwise(
      b, inputs, shape, result.imageType,
      [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        IndexMath math(b, b.getLoc());
        unsigned next = 1;
        auto read = [&](const RowNumber &x) -> Value {
          return x.tensor ? convertToIndex(b, elements[next++]) : x.scalar;
        };
        Value column = linalg::IndexOp::create(b, 1);
        Value x = convertFloat(b, elements[0], compute);
        Value isGood = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x,
                                             buildFloat(b, compute, above));
        Value image = arith::SelectOp::create(
            b, isGood, buildImage(b, x, result.imageType), result.none(b));
        OpFoldResult end = result.columns;
        if (Value given = read(limit))
          end = math.min(math.max(given, math.constant(0)), end);
        OpFoldResult isForced = math.boolean(false);
        if (int64_t first = op.getForcedFirst())
          isForced = math.compare(arith::CmpIPredicate::slt, column,
                                  math.constant(first));
        if (int64_t last = op.getForcedLast())
          isForced = math.logicalOr(
              isForced, math.compare(arith::CmpIPredicate::sge, column,
                                     math.sub(end, math.constant(last))));
        if (Value given = read(own))
          isForced = math.logicalOr(
              isForced, math.compare(arith::CmpIPredicate::eq, column, given));
        if (constantOf(isForced) != 0)
          image = arith::SelectOp::create(b, math.materialize(isForced),
                                          result.forced(b), image);
        if (op.getLimits()) {
          OpFoldResult inside =
              math.compare(arith::CmpIPredicate::slt, column, end);
          image = arith::SelectOp::create(b, math.materialize(inside), image,
                                          result.none(b));
        }
        return image;
      });

  AffineMap row = dims(context, 1, {0});
  SmallVector<MappedTensor> budgetInputs;
  if (budget.tensor)
    budgetInputs.push_back({budget.tensor, row});
  result.budgets = buildElementwise(
      b, budgetInputs, {result.rows}, b.getIndexType(),
      [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        IndexMath math(b, b.getLoc());
        OpFoldResult most = result.capacity;
        if (budget.tensor || budget.scalar) {
          Value given =
              budget.tensor ? convertToIndex(b, elements[0]) : budget.scalar;
          most = math.min(math.max(given, math.constant(0)), most);
        }
        return math.materialize(most);
      });
  if (op.getBy() != Selection::TopP && op.getBy() != Selection::Mass)
    return result;

  auto isCandidate = [&](ImplicitLocOpBuilder &b, Value image) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, image,
                                 result.none(b));
  };
  Value zero = buildFilled(b, {result.rows}, compute, 0);
  SmallVector<MappedTensor> parts = {{scores, all}, {result.images, all}};
  if (op.getBy() == Selection::TopP) {
    Value largest = buildGeneric(
        b, parts, {buildFilled(b, {result.rows}, compute, minusInf), ofRow},
        /*reductions=*/1,
        [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
          Value x =
              arith::SelectOp::create(b, isCandidate(b, elements[1]),
                                      convertFloat(b, elements[0], compute),
                                      buildFloat(b, compute, minusInf));
          return arith::MaxNumFOp::create(b, x, elements[2]);
        });
    parts.push_back({largest, ofRow});
  }
  result.weights = buildElementwise(
      b, parts, shape, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        Value x = convertFloat(b, elements[0], compute), weight = x;
        Value none = buildFloat(b, compute, 0);
        Value counts =
            arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, none);
        if (op.getBy() == Selection::TopP) {
          Value power =
              math::ExpOp::create(b, arith::SubFOp::create(b, x, elements[2]));
          Value isLargest = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ,
                                                  x, elements[2]);
          weight = arith::SelectOp::create(b, isLargest,
                                           buildFloat(b, compute, 1), power);
          counts = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x,
                                         buildFloat(b, compute, minusInf));
        }
        counts = arith::AndIOp::create(b, counts, isCandidate(b, elements[1]));
        return arith::SelectOp::create(b, counts, weight, none);
      });
  Value total =
      buildGeneric(b, {{result.weights, all}}, {zero, ofRow}, /*reductions=*/1,
                   [](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
                     return arith::AddFOp::create(b, elements[0], elements[1]);
                   });
  result.targets = buildElementwise(
      b, {{total, row}}, {result.rows}, compute,
      [&](ImplicitLocOpBuilder &b, ValueRange elements) -> Value {
        return arith::MulFOp::create(
            b, elements[0],
            buildFloat(b, compute, op.getBound()->convertToDouble()));
      });
  return result;
}

Value mlir::attn::splitLeading(ImplicitLocOpBuilder &b, Value tensor,
                               Value like, unsigned leading, Type wanted) {
  auto type = cast<RankedTensorType>(tensor.getType());
  auto from = cast<RankedTensorType>(like.getType());
  int64_t kept = type.getRank() - 1;
  if (leading != 1) {
    SmallVector<ReassociationIndices> groups;
    if (leading == 0) {
      if (kept)
        groups.push_back({0, 1});
      tensor = tensor::CollapseShapeOp::create(b, tensor, groups);
    } else {
      SmallVector<int64_t> shape(from.getShape().take_front(leading));
      SmallVector<OpFoldResult> sizes =
          tensor::getMixedSizes(b, b.getLoc(), like);
      sizes.resize(leading);
      // Upstream takes a buffer apart in one dynamic dimension only.
      if (llvm::count_if(shape, ShapedType::isDynamic) > 1) {
        for (int64_t i = 0; i < kept; ++i)
          sizes.push_back(tensor::getMixedSize(b, b.getLoc(), tensor, 1 + i));
        Value split = buildElementwise(
            b, {}, sizes, type.getElementType(),
            [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
              IndexMath math(b, b.getLoc());
              OpFoldResult row = math.constant(0);
              for (unsigned i = 0; i < leading; ++i)
                row = math.add(math.mul(row, sizes[i]),
                               linalg::IndexOp::create(b, i).getResult());
              SmallVector<Value> at = {math.materialize(row)};
              for (int64_t i = 0; i < kept; ++i)
                at.push_back(linalg::IndexOp::create(b, leading + i));
              return tensor::ExtractOp::create(b, tensor, at);
            });
        return castTensor(b, split, wanted);
      }
      groups.emplace_back(llvm::to_vector<2>(llvm::seq<int64_t>(0, leading)));
      for (int64_t i = 0; i < kept; ++i) {
        groups.push_back({int64_t(leading) + i});
        shape.push_back(type.getDimSize(1 + i));
        sizes.push_back(tensor::getMixedSize(b, b.getLoc(), tensor, 1 + i));
      }
      tensor = tensor::ExpandShapeOp::create(b, type.clone(shape), tensor,
                                             groups, sizes);
    }
  }
  return castTensor(b, tensor, wanted);
}

SmallVector<Value> mlir::attn::restoreSelection(ImplicitLocOpBuilder &b,
                                                TopKOp op, Value indices,
                                                Value counts) {
  unsigned leading =
      cast<RankedTensorType>(op.getScores().getType()).getRank() - 1;
  return {splitLeading(b, indices, op.getScores(), leading,
                       op.getIndices().getType()),
          splitLeading(b, counts, op.getScores(), leading,
                       op.getCounts().getType())};
}
