//===- LowerRuntime.cpp - attn_rt operations become calls -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../../Runtime/ConvCall.h"
#include "../../Runtime/MatmulCall.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Runtime/attn_runtime.h"
#include "attn/Target/X86/Passes.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNLOWERRUNTIMEPASS
#include "attn/Target/X86/Passes.h.inc"

namespace {

/// `source`, which is dense, with other sizes.
Value reshapeDense(PatternRewriter &rewriter, Location loc, MemRefType type,
                   Value source, ArrayRef<OpFoldResult> sizes) {
  SmallVector<OpFoldResult> strides(sizes.size());
  AffineExpr s0, s1;
  bindSymbols(rewriter.getContext(), s0, s1);
  OpFoldResult stride = rewriter.getIndexAttr(1);
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = stride;
    if (i > 0)
      stride = affine::makeComposedFoldedAffineApply(rewriter, loc, s0 * s1,
                                                     {stride, sizes[i]});
  }
  return memref::ReinterpretCastOp::create(
      rewriter, loc, type, source, rewriter.getIndexAttr(0), sizes, strides);
}

struct ExpandToReinterpret : OpRewritePattern<memref::ExpandShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(memref::ExpandShapeOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getSrcType().getLayout().isIdentity() ||
        !op.getResultType().getLayout().isIdentity())
      return rewriter.notifyMatchFailure(op, "not dense");
    rewriter.replaceOp(op,
                       reshapeDense(rewriter, op.getLoc(), op.getResultType(),
                                    op.getSrc(), op.getMixedOutputShape()));
    return success();
  }
};

struct CollapseToReinterpret : OpRewritePattern<memref::CollapseShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(memref::CollapseShapeOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getSrcType().getLayout().isIdentity() ||
        !op.getResultType().getLayout().isIdentity())
      return rewriter.notifyMatchFailure(op, "not dense");
    Location loc = op.getLoc();
    SmallVector<OpFoldResult> source =
        memref::getMixedSizes(rewriter, loc, op.getSrc());
    AffineExpr s0, s1;
    bindSymbols(rewriter.getContext(), s0, s1);
    SmallVector<OpFoldResult> sizes;
    for (const ReassociationIndices &group : op.getReassociationIndices()) {
      OpFoldResult size = rewriter.getIndexAttr(1);
      for (int64_t i : group)
        size = affine::makeComposedFoldedAffineApply(rewriter, loc, s0 * s1,
                                                     {size, source[i]});
      sizes.push_back(size);
    }
    // A size that the type knows must be an attribute.
    for (auto [i, size] : llvm::enumerate(sizes))
      if (!op.getResultType().isDynamicDim(i))
        size = rewriter.getIndexAttr(op.getResultType().getDimSize(i));
    rewriter.replaceOp(op, reshapeDense(rewriter, loc, op.getResultType(),
                                        op.getSrc(), sizes));
    return success();
  }
};

/// The words that describe a call, which lie on the stack.
struct CallWords {
  CallWords(Operation *op, int64_t size) : builder(op), loc(op->getLoc()) {
    OpBuilder::InsertionGuard guard(builder);
    auto function = op->getParentOfType<func::FuncOp>();
    builder.setInsertionPointToStart(&function.getBody().front());
    words = memref::AllocaOp::create(
        builder, loc, MemRefType::get({size}, builder.getI64Type()),
        builder.getI64IntegerAttr(64));
  }

  void push(int64_t value) { push(builder.getI64IntegerAttr(value)); }

  void push(OpFoldResult value) {
    Value word;
    if (auto constant = getConstantIntValue(value))
      word = arith::ConstantIntOp::create(builder, loc, *constant, 64);
    else
      word = arith::IndexCastOp::create(builder, loc, builder.getI64Type(),
                                        cast<Value>(value));
    Value index = arith::ConstantIndexOp::create(builder, loc, next++);
    memref::StoreOp::create(builder, loc, word, words, ValueRange{index});
  }

  void pushAddress(Value buffer, OpFoldResult offset) {
    auto element = cast<MemRefType>(buffer.getType()).getElementType();
    AffineExpr s0, s1;
    bindSymbols(builder.getContext(), s0, s1);
    Value address =
        memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, buffer);
    push(affine::makeComposedFoldedAffineApply(
        builder, loc, s0 + s1 * (element.getIntOrFloatBitWidth() / 8),
        {address, offset}));
  }

  /// Zero for an operand that is not there.
  void pushAddress(Value buffer) {
    if (!buffer)
      return push(0);
    auto metadata =
        memref::ExtractStridedMetadataOp::create(builder, loc, buffer);
    pushAddress(buffer, metadata.getConstifiedMixedOffset());
  }

  /// Element type, address, sizes and strides; of a transposed one the last
  /// two dimensions are exchanged.
  void pushTensor(Value buffer, bool isTransposed = false) {
    auto type = cast<MemRefType>(buffer.getType());
    push(type.getElementType().isBF16() ? ATTN_RT_BFLOAT16 : ATTN_RT_FLOAT32);
    auto metadata =
        memref::ExtractStridedMetadataOp::create(builder, loc, buffer);
    pushAddress(buffer, metadata.getConstifiedMixedOffset());
    SmallVector<OpFoldResult> sizes = metadata.getConstifiedMixedSizes();
    SmallVector<OpFoldResult> strides = metadata.getConstifiedMixedStrides();
    if (isTransposed) {
      int64_t rank = type.getRank();
      std::swap(sizes[rank - 1], sizes[rank - 2]);
      std::swap(strides[rank - 1], strides[rank - 2]);
    }
    for (OpFoldResult size : sizes)
      push(size);
    for (OpFoldResult stride : strides)
      push(stride);
  }

  Value getAddress() {
    Value address = arith::IndexCastOp::create(
        builder, loc, builder.getI64Type(),
        memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, words));
    return LLVM::IntToPtrOp::create(
        builder, loc, LLVM::LLVMPointerType::get(builder.getContext()),
        address);
  }

  OpBuilder builder;
  Location loc;
  Value words;
  int64_t next = 0;
};

struct AttnLowerRuntimePass final
    : impl::AttnLowerRuntimePassBase<AttnLowerRuntimePass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    LLVMTypeConverter converter(&getContext());
    SmallVector<rt::WeightBufferOp> weights;
    module.walk([&](rt::WeightBufferOp op) { weights.push_back(op); });
    for (rt::WeightBufferOp op : weights)
      lower(op, converter);
    SmallVector<rt::MatmulOp> products;
    module.walk([&](rt::MatmulOp op) { products.push_back(op); });
    for (rt::MatmulOp op : products)
      lower(op);
    SmallVector<rt::ConvOp> convolutions;
    module.walk([&](rt::ConvOp op) { convolutions.push_back(op); });
    for (rt::ConvOp op : convolutions)
      lower(op);
    SmallVector<cf::AssertOp> assertions;
    module.walk([&](cf::AssertOp op) { assertions.push_back(op); });
    for (cf::AssertOp op : assertions)
      lower(op);
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandToReinterpret, CollapseToReinterpret>(&getContext());
    if (failed(applyPatternsGreedily(module, std::move(patterns))))
      signalPassFailure();
  }

  func::FuncOp declare(StringRef name, FunctionType type) {
    ModuleOp module = getOperation();
    if (auto found = module.lookupSymbol<func::FuncOp>(name))
      return found;
    OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
    auto function = func::FuncOp::create(builder, module.getLoc(), name, type);
    function.setPrivate();
    return function;
  }

  void lower(rt::WeightBufferOp op, LLVMTypeConverter &converter) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    func::FuncOp get =
        declare("attn_rt_weight",
                builder.getFunctionType({builder.getI64Type()}, {pointer}));
    Value index = arith::ConstantOp::create(builder, loc, op.getIndexAttr());
    Value address =
        func::CallOp::create(builder, loc, get, ValueRange{index}).getResult(0);
    auto type = cast<MemRefType>(op.getResult().getType());
    Value descriptor = MemRefDescriptor::fromStaticShape(
        builder, loc, converter, type, address);
    Value buffer =
        UnrealizedConversionCastOp::create(builder, loc, type, descriptor)
            .getResult(0);
    op.replaceAllUsesWith(buffer);
    op.erase();
  }

  /// A failed check ends the run with the message instead of the process.
  void lower(cf::AssertOp op) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    func::FuncOp fail =
        declare("attn_rt_fail", builder.getFunctionType({pointer}, {}));
    Value isWrong =
        arith::XOrIOp::create(builder, loc, op.getArg(),
                              arith::ConstantIntOp::create(builder, loc, 1, 1));
    auto branch = scf::IfOp::create(builder, loc, isWrong, false);
    builder.setInsertionPointToStart(branch.thenBlock());
    std::string text = op.getMsg().str();
    text.push_back('\0');
    std::string name = "attn_message_" + std::to_string(numMessages++);
    Value address = LLVM::AddressOfOp::create(builder, loc, pointer, name);
    func::CallOp::create(builder, loc, fail, ValueRange{address});
    builder.setInsertionPointToStart(getOperation().getBody());
    LLVM::GlobalOp::create(
        builder, loc,
        LLVM::LLVMArrayType::get(builder.getI8Type(), text.size()),
        /*isConstant=*/true, LLVM::Linkage::Internal, name,
        builder.getStringAttr(text));
    op.erase();
  }

  /// The argument is an array of words; see MatmulCall.h.
  void lower(rt::MatmulOp op) {
    using ::attn::rt::MatmulCall;
    int64_t rank = cast<MemRefType>(op.getOut().getType()).getRank();
    CallWords words(op, MatmulCall::numWords(rank));
    words.push((op.getConstantB() ? MatmulCall::BIsConstant : 0) |
               (op.getAccumulate() ? MatmulCall::Accumulates : 0));
    words.push(activationNumber(op.getActivation()));
    words.push(rank);
    words.pushTensor(op.getA(), op.getTransposeA());
    words.pushTensor(op.getB(), op.getTransposeB());
    words.pushTensor(op.getOut());
    words.pushAddress(op.getBias());
    call("attn_rt_matmul", words);
    op.erase();
  }

  /// See ConvCall.h.
  void lower(rt::ConvOp op) {
    using ::attn::rt::ConvCall;
    int64_t rank = cast<MemRefType>(op.getOut().getType()).getRank();
    CallWords words(op, ConvCall::numWords(rank));
    words.push(op.getConstantW() ? ConvCall::WIsConstant : 0);
    words.push(activationNumber(op.getActivation()));
    words.push(rank);
    words.push(static_cast<int64_t>(op.getGroups()));
    words.pushTensor(op.getX());
    words.pushTensor(op.getW());
    words.pushTensor(op.getOut());
    words.pushAddress(op.getBias());
    for (ArrayRef<int64_t> list : {op.getStrides(), op.getDilations(),
                                   op.getPadsLow(), op.getPadsHigh()})
      for (int64_t value : list)
        words.push(value);
    call("attn_rt_conv", words);
    op.erase();
  }

  static int64_t activationNumber(StringRef activation) {
    ArrayRef<StringRef> known = rt::getKnownActivations();
    return llvm::find(known, activation) - known.begin();
  }

  void call(StringRef name, CallWords &words) {
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    func::FuncOp function =
        declare(name, words.builder.getFunctionType({pointer}, {}));
    func::CallOp::create(words.builder, words.loc, function,
                         ValueRange{words.getAddress()});
  }

  unsigned numMessages = 0;
};

} // namespace
} // namespace mlir::attn
