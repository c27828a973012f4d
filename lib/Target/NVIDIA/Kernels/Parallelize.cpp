//===- Parallelize.cpp - Work on elements becomes parallel loops ----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/NVIDIA/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNGPUPARALLELIZEPASS
#include "attn/Target/NVIDIA/Passes.h.inc"

namespace {

/// One `scf.forall` over elements, filled in by `body`: for each of
/// `destinations` the place of the element and its value.
class ElementLoop {
public:
  ElementLoop(ImplicitLocOpBuilder &b) : b(b) {}

  using Body = llvm::function_ref<SmallVector<Value>(ValueRange point)>;

  /// `place` is where an element of a destination stands.
  scf::ForallOp build(
      ArrayRef<OpFoldResult> sizes, ValueRange destinations,
      llvm::function_ref<SmallVector<OpFoldResult>(unsigned, ValueRange)> place,
      Body body) {
    auto loop = scf::ForallOp::create(b, sizes, destinations, std::nullopt);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loop.getTerminator());
    SmallVector<Value> results = body(loop.getInductionVars());
    for (auto [i, value] : llvm::enumerate(results)) {
      Value own = loop.getRegionIterArgs()[i];
      auto type = cast<RankedTensorType>(own.getType());
      SmallVector<OpFoldResult> at = place(i, loop.getInductionVars());
      SmallVector<OpFoldResult> ones(at.size(), b.getIndexAttr(1));
      auto scalar = RankedTensorType::get({}, type.getElementType());
      Value part =
          tensor::ExtractSliceOp::create(b, scalar, own, at, ones, ones);
      part = tensor::InsertOp::create(b, value, part, ValueRange());
      OpBuilder::InsertionGuard inner(b);
      scf::InParallelOp end = loop.getTerminator();
      b.setInsertionPointToEnd(end.getBody());
      tensor::ParallelInsertSliceOp::create(b, part, own, at, ones, ones);
    }
    return loop;
  }

private:
  ImplicitLocOpBuilder &b;
};

struct AttnGpuParallelizePass final
    : impl::AttnGpuParallelizePassBase<AttnGpuParallelizePass> {
  void runOnOperation() override {
    // Who brings kernels says what is one; the runtime copies the rest.
    auto module = getOperation()->getParentOfType<ModuleOp>();
    if (module && !module.getOps<gpu::GPUModuleOp>().empty())
      return;
    SmallVector<Operation *> work;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<scf::ForallOp>(op))
        return WalkResult::skip();
      if (isa<linalg::LinalgOp, tensor::ExtractSliceOp, tensor::InsertSliceOp,
              tensor::PadOp, tensor::ConcatOp, tensor::InsertOp,
              tensor::SplatOp>(op))
        work.push_back(op);
      return isa<linalg::LinalgOp>(op) ? WalkResult::skip()
                                       : WalkResult::advance();
    });
    IRRewriter rewriter(&getContext());
    for (Operation *op : work) {
      rewriter.setInsertionPoint(op);
      if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
        copySlice(rewriter, slice);
      else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
        insertSlice(rewriter, insert);
      else if (auto insert = dyn_cast<tensor::InsertOp>(op))
        insertElement(rewriter, insert);
      else if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
        parallelize(rewriter, linalgOp);
      else if (auto splat = dyn_cast<tensor::SplatOp>(op))
        parallelize(rewriter, fillFor(rewriter, splat));
    }
  }

  /// Takes the place of a splat, for which the host would fill memory itself.
  static linalg::LinalgOp fillFor(IRRewriter &rewriter, tensor::SplatOp splat) {
    Value empty = tensor::EmptyOp::create(
        rewriter, splat.getLoc(), splat.getType(), splat.getDynamicSizes());
    return rewriter.replaceOpWithNewOp<linalg::FillOp>(splat, splat.getInput(),
                                                       empty);
  }

  static Value at(ImplicitLocOpBuilder &b, OpFoldResult x) {
    return getValueOrCreateConstantIndexOp(b, b.getLoc(), x);
  }

  static Value mulAdd(ImplicitLocOpBuilder &b, Value x, OpFoldResult factor,
                      OpFoldResult offset) {
    if (!isConstantIntValue(factor, 1))
      x = arith::MulIOp::create(b, x, at(b, factor));
    if (!isConstantIntValue(offset, 0))
      x = arith::AddIOp::create(b, x, at(b, offset));
    return x;
  }

  /// Places of a slice's elements in the whole tensor.
  static SmallVector<Value> placeOf(ImplicitLocOpBuilder &b, ValueRange point,
                                    const llvm::SmallBitVector &dropped,
                                    ArrayRef<OpFoldResult> offsets,
                                    ArrayRef<OpFoldResult> strides) {
    SmallVector<Value> place;
    unsigned next = 0;
    for (unsigned dim = 0; dim < offsets.size(); ++dim)
      place.push_back(dropped.test(dim) ? at(b, offsets[dim])
                                        : mulAdd(b, point[next++], strides[dim],
                                                 offsets[dim]));
    return place;
  }

  void copySlice(IRRewriter &rewriter, tensor::ExtractSliceOp op) {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    SmallVector<OpFoldResult> sizes;
    llvm::SmallBitVector dropped = op.getDroppedDims();
    for (auto [i, size] : llvm::enumerate(op.getMixedSizes()))
      if (!dropped.test(i))
        sizes.push_back(size);
    Value empty =
        tensor::EmptyOp::create(b, sizes, op.getType().getElementType());
    if (empty.getType() != op.getType())
      empty = tensor::CastOp::create(b, op.getType(), empty);
    auto loop = ElementLoop(b).build(
        sizes, empty,
        [](unsigned, ValueRange point) { return getAsOpFoldResult(point); },
        [&](ValueRange point) {
          SmallVector<Value> place = placeOf(
              b, point, dropped, op.getMixedOffsets(), op.getMixedStrides());
          return SmallVector<Value>{
              tensor::ExtractOp::create(b, op.getSource(), place)};
        });
    rewriter.replaceOp(op, loop.getResults());
  }

  void insertSlice(IRRewriter &rewriter, tensor::InsertSliceOp op) {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(b, op.getLoc(), op.getSource());
    llvm::SmallBitVector dropped = op.getDroppedDims();
    auto loop = ElementLoop(b).build(
        sizes, op.getDest(),
        [&](unsigned, ValueRange point) {
          return getAsOpFoldResult(placeOf(
              b, point, dropped, op.getMixedOffsets(), op.getMixedStrides()));
        },
        [&](ValueRange point) {
          return SmallVector<Value>{
              tensor::ExtractOp::create(b, op.getSource(), point)};
        });
    rewriter.replaceOp(op, loop.getResults());
  }

  void insertElement(IRRewriter &rewriter, tensor::InsertOp op) {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    auto loop = ElementLoop(b).build(
        OpFoldResult(b.getIndexAttr(1)), op.getDest(),
        [&](unsigned, ValueRange) {
          return getAsOpFoldResult(op.getIndices());
        },
        [&](ValueRange) { return SmallVector<Value>{op.getScalar()}; });
    rewriter.replaceOp(op, loop.getResults());
  }

  void parallelize(IRRewriter &rewriter, linalg::LinalgOp op) {
    if (!op.hasPureTensorSemantics())
      return;
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
    SmallVector<unsigned> parallel, reduced;
    for (auto [i, type] : llvm::enumerate(iterators))
      (type == utils::IteratorType::parallel ? parallel : reduced).push_back(i);
    SmallVector<OpFoldResult> all;
    {
      SmallVector<Range> ranges = op.createLoopRanges(b, op.getLoc());
      for (Range range : ranges)
        all.push_back(range.size);
    }
    SmallVector<OpFoldResult> sizes;
    for (unsigned loop : parallel)
      sizes.push_back(all[loop]);
    bool isScalar = sizes.empty();
    if (isScalar)
      sizes.push_back(b.getIndexAttr(1));
    auto loopsOf = [&](ValueRange point, ValueRange inner) {
      SmallVector<Value> loops(iterators.size());
      for (auto [i, loop] : llvm::enumerate(parallel))
        loops[loop] = point[i];
      for (auto [i, loop] : llvm::enumerate(reduced))
        if (i < inner.size())
          loops[loop] = inner[i];
      return loops;
    };
    auto indicesOf = [&](AffineMap map, ValueRange loops) {
      SmallVector<Value> indices;
      for (AffineExpr expr : map.getResults()) {
        if (auto dim = dyn_cast<AffineDimExpr>(expr))
          indices.push_back(loops[dim.getPosition()]);
        else
          indices.push_back(affine::expandAffineExpr(b, b.getLoc(), expr, loops,
                                                     ValueRange()));
      }
      return indices;
    };
    auto loop = ElementLoop(b).build(
        sizes, op.getDpsInits(),
        [&](unsigned i, ValueRange point) {
          AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(i));
          return getAsOpFoldResult(
              indicesOf(map, loopsOf(point, ValueRange())));
        },
        [&](ValueRange point) {
          ValueRange own = point;
          SmallVector<Value> start;
          Block *block = op.getBlock();
          for (OpOperand &out : op.getDpsInitsMutable()) {
            if (!op.payloadUsesValueFromOperand(&out)) {
              Type element =
                  cast<RankedTensorType>(out.get().getType()).getElementType();
              start.push_back(
                  arith::ConstantOp::create(b, b.getZeroAttr(element)));
              continue;
            }
            start.push_back(tensor::ExtractOp::create(
                b, out.get(),
                indicesOf(op.getMatchingIndexingMap(&out),
                          loopsOf(own, ValueRange()))));
          }
          auto emit = [&](ValueRange inner, ValueRange sums) {
            SmallVector<Value> loops = loopsOf(own, inner);
            IRMapping map;
            for (OpOperand *input : op.getDpsInputOperands()) {
              Value x = input->get();
              if (isa<RankedTensorType>(x.getType()))
                x = tensor::ExtractOp::create(
                    b, x, indicesOf(op.getMatchingIndexingMap(input), loops));
              map.map(op.getMatchingBlockArgument(input), x);
            }
            for (auto [i, sum] : llvm::enumerate(sums))
              map.map(op.getMatchingBlockArgument(op.getDpsInitOperand(i)),
                      sum);
            for (Operation &inside : block->without_terminator()) {
              if (auto index = dyn_cast<linalg::IndexOp>(inside)) {
                map.map(index.getResult(), loops[index.getDim()]);
                continue;
              }
              b.clone(inside, map);
            }
            SmallVector<Value> results;
            for (Value x : block->getTerminator()->getOperands())
              results.push_back(map.lookupOrDefault(x));
            return results;
          };
          if (reduced.empty())
            return emit({}, start);
          // One loop after the other, innermost last.
          OpBuilder::InsertionGuard guard(b);
          SmallVector<Value> inner;
          SmallVector<scf::ForOp> nest;
          ValueRange sums = start;
          for (unsigned dim : reduced) {
            Value zero = arith::ConstantIndexOp::create(b, 0);
            Value one = arith::ConstantIndexOp::create(b, 1);
            auto loop = scf::ForOp::create(b, zero, at(b, all[dim]), one, sums);
            nest.push_back(loop);
            inner.push_back(loop.getInductionVar());
            sums = loop.getRegionIterArgs();
            b.setInsertionPointToStart(loop.getBody());
          }
          SmallVector<Value> results = emit(inner, sums);
          for (scf::ForOp loop : llvm::reverse(nest)) {
            b.setInsertionPointToEnd(loop.getBody());
            scf::YieldOp::create(b, results);
            results = llvm::to_vector_of<Value>(loop.getResults());
          }
          return results;
        });
    rewriter.replaceOp(op, loop.getResults());
  }
};

} // namespace
} // namespace mlir::attn
