//===- TileOutline.cpp - Parallel bodies become functions -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileUtils.h"
#include "attn/Target/X86/Tile.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNOUTLINEPARALLELPASS
#include "attn/Target/X86/TilePasses.h.inc"

namespace {

/// Larger tiles stay on the heap.
constexpr int64_t maxStackBytes = 1 << 19;

/// An upper bound of a non-negative value, as far as it is easy to see.
std::optional<int64_t> upperBound(OpFoldResult x) {
  if (auto constant = getConstantIntValue(x))
    return constant;
  auto value = cast<Value>(x);
  if (auto smaller = value.getDefiningOp<arith::MinSIOp>()) {
    auto a = upperBound(smaller.getLhs()), b = upperBound(smaller.getRhs());
    if (a && b)
      return std::min(*a, *b);
    return a ? a : b;
  }
  return std::nullopt;
}

/// Allocations anywhere in `body` become stack memory at its start.
void moveToStack(Block &body) {
  SmallVector<memref::AllocOp> allocs;
  body.walk([&](memref::AllocOp alloc) { allocs.push_back(alloc); });
  for (memref::AllocOp alloc : allocs) {
    MemRefType type = alloc.getType();
    Type element = type.getElementType();
    int64_t bytes = element.isIndex()
                        ? 8
                        : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
    bool bounded = type.getLayout().isIdentity();
    unsigned dynamic = 0;
    for (int64_t size : type.getShape()) {
      OpFoldResult extent = Builder(alloc.getContext()).getIndexAttr(size);
      if (ShapedType::isDynamic(size))
        extent = alloc.getDynamicSizes()[dynamic++];
      auto bound = upperBound(extent);
      bounded &= bound.has_value();
      bytes *= bound.value_or(0);
    }
    if (!bounded || bytes > maxStackBytes)
      continue;
    ImplicitLocOpBuilder b(alloc.getLoc(), &body, body.begin());
    auto alignment = b.getI64IntegerAttr(64);
    Value stack;
    if (type.hasStaticShape()) {
      stack = memref::AllocaOp::create(b, type, alignment);
    } else {
      auto flat = MemRefType::get({bytes}, b.getI8Type());
      Value buffer = memref::AllocaOp::create(b, flat, alignment);
      b.setInsertionPoint(alloc);
      stack = memref::ViewOp::create(b, type, buffer, indexConstant(b, 0),
                                     alloc.getDynamicSizes());
    }
    for (Operation *user : llvm::make_early_inc_range(alloc->getUsers()))
      if (isa<memref::DeallocOp>(user))
        user->erase();
    alloc.replaceAllUsesWith(stack);
    alloc.erase();
  }
}

struct OutlineParallel final
    : impl::AttnOutlineParallelPassBase<OutlineParallel> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    functions.clear();
    SmallVector<scf::ForallOp> loops;
    getOperation().walk<WalkOrder::PreOrder>([&](scf::ForallOp op) {
      if (!op->getParentOfType<scf::ForallOp>() && op.getOutputs().empty())
        loops.push_back(op);
    });
    for (scf::ForallOp loop : loops)
      outline(loop, symbols);
  }

  SmallVector<func::FuncOp> functions;

  void outline(scf::ForallOp loop, SymbolTable &symbols) {
    moveToStack(*loop.getBody());
    llvm::SetVector<Value> captured;
    getUsedValuesDefinedAbove(loop.getRegion(), captured);
    SmallVector<Value> arguments;
    SmallVector<Operation *> constants;
    for (Value value : captured) {
      Operation *definition = value.getDefiningOp();
      if (definition && definition->hasTrait<OpTrait::ConstantLike>())
        constants.push_back(definition);
      else
        arguments.push_back(value);
    }
    unsigned rank = loop.getRank();
    ImplicitLocOpBuilder b(loop.getLoc(), loop);
    SmallVector<Type> types(rank, b.getIndexType());
    llvm::append_range(types, ValueRange(arguments).getTypes());

    auto parent = loop->getParentOfType<func::FuncOp>();
    auto function = func::FuncOp::create(
        loop.getLoc(), (parent.getSymName() + "_parallel").str(),
        b.getFunctionType(types, {}));
    function.setPrivate();
    function.setNoInline(true);
    function->setAttr("attn.outlined", b.getUnitAttr());
    Block *entry = function.addEntryBlock();
    ImplicitLocOpBuilder inner(loop.getLoc(), entry, entry->begin());
    IRMapping map;
    for (auto [from, to] :
         llvm::zip(arguments, entry->getArguments().drop_front(rank)))
      map.map(from, to);
    for (Operation *constant : constants)
      inner.clone(*constant, map);
    for (unsigned i = 0; i < rank; ++i) {
      Value iv = entry->getArgument(i);
      map.map(loop.getInductionVar(i), iv);
    }
    for (Operation &op : loop.getBody()->without_terminator())
      inner.clone(op, map);
    func::ReturnOp::create(inner);
    // Layers of a model repeat their loops: one function serves all of them.
    auto *same = llvm::find_if(functions, [&](func::FuncOp other) {
      return other.getFunctionType() == function.getFunctionType() &&
             OperationEquivalence::isRegionEquivalentTo(
                 &other.getBody(), &function.getBody(),
                 OperationEquivalence::IgnoreLocations);
    });
    if (same != functions.end()) {
      function.erase();
      function = *same;
    } else {
      symbols.insert(function, std::next(Block::iterator(parent)));
      functions.push_back(function);
    }

    SmallVector<Value> lower = loop.getLowerBound(b),
                       upper = loop.getUpperBound(b), step = loop.getStep(b);
    auto parallel = scf::ParallelOp::create(
        b, lower, upper, step,
        [&](OpBuilder &builder, Location loc, ValueRange ivs) {
          SmallVector<Value> operands(ivs);
          llvm::append_range(operands, arguments);
          func::CallOp::create(builder, loc, function, operands);
        });
    (void)parallel;
    loop.erase();
  }
};

} // namespace
} // namespace mlir::attn
