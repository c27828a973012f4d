//===- Finalize.cpp - gpu.func becomes llvm.func --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Target/NVIDIA/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNGPUFINALIZEPASS
#include "attn/Target/NVIDIA/Passes.h.inc"

namespace {

/// exp(x) = 2^(x log2(e)), exp2 and log2 of f32 stay.
struct ExpByExp2 : OpRewritePattern<math::ExpOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::ExpOp op,
                                PatternRewriter &rewriter) const override {
    auto type = dyn_cast<FloatType>(op.getType());
    if (!type || !type.isF32())
      return failure();
    Value factor = arith::ConstantOp::create(
        rewriter, op.getLoc(),
        rewriter.getFloatAttr(type, llvm::numbers::log2e));
    Value x =
        arith::MulFOp::create(rewriter, op.getLoc(), op.getOperand(), factor);
    rewriter.replaceOpWithNewOp<math::Exp2Op>(op, x);
    return success();
  }
};

/// log(x) = log2(x) ln(2).
struct LogByLog2 : OpRewritePattern<math::LogOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::LogOp op,
                                PatternRewriter &rewriter) const override {
    auto type = dyn_cast<FloatType>(op.getType());
    if (!type || !type.isF32())
      return failure();
    Value factor = arith::ConstantOp::create(
        rewriter, op.getLoc(), rewriter.getFloatAttr(type, llvm::numbers::ln2));
    Value x = math::Log2Op::create(rewriter, op.getLoc(), op.getOperand());
    rewriter.replaceOpWithNewOp<arith::MulFOp>(op, x, factor);
    return success();
  }
};

/// Functions of narrow floats are those of f32.
template <typename OpTy>
struct ComputeInF32 : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    auto type = dyn_cast<FloatType>(op.getType());
    if (!type || type.getWidth() >= 32)
      return failure();
    Location loc = op.getLoc();
    Value x = arith::ExtFOp::create(rewriter, loc, rewriter.getF32Type(),
                                    op.getOperand());
    x = OpTy::create(rewriter, loc, x);
    rewriter.replaceOpWithNewOp<arith::TruncFOp>(op, type, x);
    return success();
  }
};

/// One instruction, where a comparison and a selection would be two.
template <typename From, typename To>
struct OneInstruction : OpRewritePattern<From> {
  using OpRewritePattern<From>::OpRewritePattern;
  LogicalResult matchAndRewrite(From op,
                                PatternRewriter &rewriter) const override {
    if (!op.getType().isF32())
      return failure();
    // In one order, so that equal ones are found.
    Value x = op.getLhs(), y = op.getRhs();
    if (isa<BlockArgument>(y) && !isa<BlockArgument>(x))
      std::swap(x, y);
    bool ordered =
        bitEnumContainsAny(op.getFastmath(), arith::FastMathFlags::nnan);
    if (std::is_same_v<From, arith::MaxNumFOp> && ordered &&
        (matchPattern(x, m_NegInfFloat()) ||
         matchPattern(y, m_NegInfFloat()))) {
      rewriter.replaceOp(op, matchPattern(x, m_NegInfFloat()) ? y : x);
      return success();
    }
    rewriter.replaceOpWithNewOp<To>(op, x, y);
    return success();
  }
};

struct AttnGpuFinalizePass final
    : impl::AttnGpuFinalizePassBase<AttnGpuFinalizePass> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    patterns.add<ExpByExp2, LogByLog2, ComputeInF32<math::ExpOp>,
                 ComputeInF32<math::Exp2Op>, ComputeInF32<math::LogOp>,
                 ComputeInF32<math::Log2Op>, ComputeInF32<math::TanhOp>,
                 ComputeInF32<math::ErfOp>, ComputeInF32<math::SqrtOp>,
                 ComputeInF32<math::RsqrtOp>>(context);
    patterns.add<OneInstruction<arith::MaxNumFOp, LLVM::MaxNumOp>,
                 OneInstruction<arith::MinNumFOp, LLVM::MinNumOp>>(context);
    populatePolynomialApproximateErfPattern(patterns);
    math::populateExpansionPatterns(patterns, {"tanh", "sinh", "cosh", "powf",
                                               "rsqrt", "roundeven", "fpowi",
                                               "asinh", "acosh", "atanh"});
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    SmallVector<gpu::GPUFuncOp> kernels(
        getOperation().getOps<gpu::GPUFuncOp>());
    for (gpu::GPUFuncOp kernel : kernels)
      toLLVM(kernel);
  }

  void toLLVM(gpu::GPUFuncOp kernel) {
    OpBuilder b(kernel);
    auto type = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(&getContext()), kernel.getArgumentTypes());
    auto function =
        LLVM::LLVMFuncOp::create(b, kernel.getLoc(), kernel.getName(), type);
    function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(),
                      b.getUnitAttr());
    if (auto threads = kernel.getKnownBlockSizeAttr())
      function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), threads);
    StringRef blocks = NVVM::NVVMDialect::getMinctasmAttrName();
    if (Attribute count = kernel->getAttr(blocks))
      function->setAttr(blocks, count);
    function.setPassthroughAttr(b.getArrayAttr(b.getStrArrayAttr(
        {"denormal-fp-math-f32", "preserve-sign,preserve-sign"})));
    for (unsigned i = 0; i < kernel.getNumArguments(); ++i)
      if (DictionaryAttr attrs = kernel.getArgAttrDict(i))
        function.setArgAttrs(i, attrs);
    // A tensor map stays where the launch put it.
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      if (function.getArgAttr(i, LLVM::LLVMDialect::getByValAttrName()))
        function.setArgAttr(i, NVVM::NVVMDialect::getGridConstantAttrName(),
                            b.getUnitAttr());
    function.getBody().takeBody(kernel.getFunctionBody());
    function.walk([&](gpu::ReturnOp op) {
      b.setInsertionPoint(op);
      LLVM::ReturnOp::create(b, op.getLoc(), ValueRange());
      op.erase();
    });
    kernel.erase();
  }
};

} // namespace
} // namespace mlir::attn
