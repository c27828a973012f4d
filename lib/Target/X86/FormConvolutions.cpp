//===- FormConvolutions.cpp - Convolutions for the library ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Epilogue.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNFORMCONVOLUTIONSPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// What the indexing maps of a convolution say.
struct Geometry {
  enum Channels { One, Grouped, Depthwise } channels;
  SmallVector<int64_t> strides, dilations;
};

/// `dim * factor`.
std::optional<std::pair<unsigned, int64_t>> readTerm(AffineExpr expr) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return std::pair(dim.getPosition(), int64_t(1));
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary || binary.getKind() != AffineExprKind::Mul)
    return std::nullopt;
  auto dim = dyn_cast<AffineDimExpr>(binary.getLHS());
  auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS());
  if (!dim || !factor)
    return std::nullopt;
  return std::pair(dim.getPosition(), factor.getValue());
}

/// Reads input [n, (g,) c, o * stride + k * dilation ..], weights
/// [(g,) m, c, k..] and result [n, (g,) m, o..]; of a depthwise one [n, g, ..],
/// [g, k..] and [n, g, o..].
std::optional<Geometry> readGeometry(linalg::LinalgOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (!maps[1].isProjectedPermutation() || !maps[2].isProjectedPermutation())
    return std::nullopt;
  SmallVector<unsigned> x, w, o;
  for (AffineExpr expr : maps[0].getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim)
      break;
    x.push_back(dim.getPosition());
  }
  size_t spatial = maps[0].getNumResults() - x.size();
  if (spatial < 1 || spatial > 3 || maps[1].getNumResults() <= spatial ||
      maps[2].getNumResults() <= spatial)
    return std::nullopt;
  for (auto [map, dims] : {std::pair(maps[1], &w), std::pair(maps[2], &o)})
    for (unsigned i = 0; i < map.getNumResults() - spatial; ++i)
      dims->push_back(map.getDimPosition(i));
  Geometry result;
  unsigned numDims = op.getNumLoops() - 2 * static_cast<unsigned>(spatial);
  if (x.size() == 2 && w.size() == 2 && o.size() == 2 && numDims == 3 &&
      x[0] == o[0] && w[0] == o[1] && w[1] == x[1])
    result.channels = Geometry::One;
  else if (x.size() == 3 && w.size() == 3 && o.size() == 3 && numDims == 4 &&
           x[0] == o[0] && x[1] == o[1] && w[0] == x[1] && w[1] == o[2] &&
           w[2] == x[2])
    result.channels = Geometry::Grouped;
  else if (x.size() == 2 && w.size() == 1 && o.size() == 2 && numDims == 2 &&
           x[0] == o[0] && x[1] == o[1] && w[0] == x[1])
    result.channels = Geometry::Depthwise;
  else
    return std::nullopt;
  for (size_t i = 0; i < spatial; ++i) {
    auto sum = dyn_cast<AffineBinaryOpExpr>(maps[0].getResult(x.size() + i));
    if (!sum || sum.getKind() != AffineExprKind::Add)
      return std::nullopt;
    auto out = readTerm(sum.getLHS()), kernel = readTerm(sum.getRHS());
    unsigned outDim = maps[2].getDimPosition(o.size() + i);
    unsigned kernelDim = maps[1].getDimPosition(w.size() + i);
    if (out && out->first != outDim)
      std::swap(out, kernel);
    if (!out || !kernel || out->first != outDim || kernel->first != kernelDim ||
        out->second < 1 || kernel->second < 1)
      return std::nullopt;
    result.strides.push_back(out->second);
    result.dilations.push_back(kernel->second);
  }
  return result;
}

/// Whether the body adds to the result the product of the two inputs.
bool isMultiplyAdd(linalg::LinalgOp op) {
  Block *body = op.getBlock();
  auto add =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add)
    return false;
  BlockArgument sum = body->getArgument(2);
  Value other = add.getLhs() == sum ? add.getRhs() : add.getLhs();
  if (add.getLhs() != sum && add.getRhs() != sum)
    return false;
  auto product = other.getDefiningOp<arith::MulFOp>();
  auto source = [](Value value) {
    auto extension = value.getDefiningOp<arith::ExtFOp>();
    return extension ? extension.getIn() : value;
  };
  if (!product)
    return false;
  Value left = source(product.getLhs()), right = source(product.getRhs());
  Value x = body->getArgument(0), w = body->getArgument(1);
  return (left == x && right == w) || (left == w && right == x);
}

/// `value` with its dimensions `at` and `at + 1` as one.
Value mergeDims(PatternRewriter &rewriter, Value value, int64_t at) {
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i < rank; ++i) {
    if (i == at + 1)
      groups.back().push_back(i);
    else
      groups.push_back({i});
  }
  if (auto expand = value.getDefiningOp<tensor::ExpandShapeOp>())
    if (expand.getReassociationIndices() == groups)
      return expand.getSrc();
  return tensor::CollapseShapeOp::create(rewriter, value.getLoc(), value,
                                         groups);
}

/// Depthwise weights [g, k..] as [g, 1, k..].
Value addInputChannel(PatternRewriter &rewriter, Value w) {
  auto type = cast<RankedTensorType>(w.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.insert(shape.begin() + 1, 1);
  auto wide = RankedTensorType::get(shape, type.getElementType());
  if (auto collapse = w.getDefiningOp<tensor::CollapseShapeOp>())
    if (collapse.getSrcType() == wide)
      return collapse.getSrc();
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(rewriter, w.getLoc(), w);
  sizes.insert(sizes.begin() + 1, rewriter.getIndexAttr(1));
  SmallVector<ReassociationIndices> groups{{0, 1}};
  for (int64_t i = 1; i < type.getRank(); ++i)
    groups.push_back({i + 1});
  return tensor::ExpandShapeOp::create(rewriter, w.getLoc(), wide, w, groups,
                                       sizes);
}

/// Takes zero padding of known amounts away from `x`.
Value takePadding(Value x, MutableArrayRef<int64_t> low,
                  MutableArrayRef<int64_t> high) {
  auto pad = x.getDefiningOp<tensor::PadOp>();
  if (!pad)
    return x;
  Value filling = pad.getConstantPaddingValue();
  if (!filling || !matchPattern(filling, m_AnyZeroFloat()))
    return x;
  auto before = getConstantIntValues(pad.getMixedLowPad());
  auto after = getConstantIntValues(pad.getMixedHighPad());
  if (!before || !after || (*before)[0] || (*before)[1] || (*after)[0] ||
      (*after)[1])
    return x;
  llvm::copy(ArrayRef<int64_t>(*before).drop_front(2), low.begin());
  llvm::copy(ArrayRef<int64_t>(*after).drop_front(2), high.begin());
  return pad.getSource();
}

struct FormConvolution : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics() || op.getNumDpsInputs() != 2 ||
        op.getNumDpsInits() != 1 || !isMultiplyAdd(op))
      return rewriter.notifyMatchFailure(op, "not a product");
    std::optional<Geometry> geometry = readGeometry(op);
    if (!geometry)
      return rewriter.notifyMatchFailure(op, "not a known convolution");
    Value x = op.getDpsInputs()[0], w = op.getDpsInputs()[1];
    Value init = op.getDpsInits()[0];
    Type element = getElementTypeOrSelf(x);
    if (getElementTypeOrSelf(w) != element ||
        !(element.isF32() || element.isBF16()) ||
        !getElementTypeOrSelf(init).isF32())
      return rewriter.notifyMatchFailure(op, "element types");
    auto fill = init.getDefiningOp<linalg::FillOp>();
    if (!fill || !matchPattern(fill.value(), m_AnyZeroFloat()))
      return rewriter.notifyMatchFailure(op, "does not start from zero");
    auto weightType = cast<RankedTensorType>(w.getType());
    if (!weightType.hasStaticShape())
      return rewriter.notifyMatchFailure(op, "weights of dynamic size");

    Location loc = op.getLoc();
    int64_t groups = 1;
    Value full = fill.output(), out = full;
    if (geometry->channels == Geometry::Grouped) {
      groups = weightType.getDimSize(0);
      x = mergeDims(rewriter, x, 1);
      w = mergeDims(rewriter, w, 0);
      out = mergeDims(rewriter, full, 1);
    } else if (geometry->channels == Geometry::Depthwise) {
      groups = weightType.getDimSize(0);
      w = addInputChannel(rewriter, w);
    }
    SmallVector<int64_t> low(geometry->strides.size()), high = low;
    x = takePadding(x, low, high);
    Value result = rt::ConvOp::create(rewriter, loc, out.getType(), x, w,
                                      /*bias=*/Value(), out, "none",
                                      geometry->strides, geometry->dilations,
                                      low, high, groups, isModelConstant(w))
                       .getResult();
    if (result.getType() != full.getType()) {
      auto type = cast<RankedTensorType>(full.getType());
      SmallVector<ReassociationIndices> reassociation{{0}, {1, 2}};
      for (int64_t i = 3; i < type.getRank(); ++i)
        reassociation.push_back({i});
      result = tensor::ExpandShapeOp::create(
          rewriter, loc, type, result, reassociation,
          tensor::getMixedSizes(rewriter, loc, full));
    }
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// The convolution behind `value` that still takes an epilogue.
rt::ConvOp findConv(Value value) {
  auto conv = value.getDefiningOp<rt::ConvOp>();
  if (!conv || !value.hasOneUse() || conv.getActivation() != "none")
    return {};
  return conv;
}

struct FuseConvBias : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    if (!isElementwise(op))
      return rewriter.notifyMatchFailure(op, "not elementwise");
    for (OpOperand *operand : op.getDpsInputOperands()) {
      rt::ConvOp conv = findConv(operand->get());
      if (!conv || conv.getBias())
        continue;
      std::optional<BiasAddition> found = findBias(op, operand, 1);
      if (!found)
        continue;
      rewriter.setInsertionPoint(conv);
      Value bias = cloneBias(rewriter, found->bias->get());
      rewriter.modifyOpInPlace(conv,
                               [&] { conv.getBiasMutable().assign(bias); });
      rewriter.replaceOp(found->add, found->value);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "no convolution with a bias");
  }
};

struct FuseConvActivation : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    auto [operand, activation] = findActivation(op);
    rt::ConvOp conv = operand ? findConv(operand->get()) : rt::ConvOp();
    if (!conv)
      return rewriter.notifyMatchFailure(op, "not after a convolution");
    rewriter.modifyOpInPlace(conv, [&] { conv.setActivation(activation); });
    rewriter.replaceOp(op, operand->get());
    return success();
  }
};

struct AttnFormConvolutionsPass final
    : impl::AttnFormConvolutionsPassBase<AttnFormConvolutionsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FormConvolution, FuseConvBias, FuseConvActivation>(
        &getContext());
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::attn
