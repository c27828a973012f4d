//===- TileMath.cpp - Exponentials and transposes in registers ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileUtils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::attn;

Value mlir::attn::buildMaximum(ImplicitLocOpBuilder &b, Value x, Value y) {
  auto flags = LLVM::FastmathFlags::nnan | LLVM::FastmathFlags::nsz;
  return LLVM::MaxNumOp::create(b, x.getType(), x, y, flags);
}

Value mlir::attn::buildExp2(ImplicitLocOpBuilder &b, Value x, bool scalef) {
  // Minimax in the relative error on [-0.5, 0.5] with the constant term fixed
  // to 1, so that 2^0 is exact; 2 ulp together with the rounding.
  static constexpr double coefficients[] = {1.0,
                                            6.9314697771e-01,
                                            2.4022242090e-01,
                                            5.5507335874e-02,
                                            9.6715124427e-03,
                                            1.3264773282e-03};
  auto type = cast<VectorType>(x.getType());
  int64_t lanes = type.getNumElements();
  bool instruction = scalef && lanes == 16;
  Value low = x;
  if (!instruction)
    low = buildMaximum(b, splat(b, type, -126), x);
  Value whole = math::RoundEvenOp::create(b, low);
  // Exact. For minus infinity the rest is a NaN; the instruction yields 0 for
  // 2^-inf whatever it scales, without it x is clamped.
  Value rest = arith::SubFOp::create(b, low, whole);
  Value power = splat(b, type, coefficients[5]);
  for (int i = 4; i >= 0; --i)
    power =
        math::FmaOp::create(b, power, rest, splat(b, type, coefficients[i]));
  if (instruction) {
    Value all = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1));
    Value rounding = arith::ConstantOp::create(b, b.getI32IntegerAttr(4));
    return LLVM::CallIntrinsicOp::create(
               b, type, b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"),
               ValueRange{power, whole, power, all, rounding})
        .getResults();
  }
  auto bits = VectorType::get({lanes}, b.getI32Type());
  auto shift = arith::ConstantOp::create(
      b, DenseElementsAttr::get(bits, b.getI32IntegerAttr(23)));
  Value exponent =
      arith::ShLIOp::create(b, arith::FPToSIOp::create(b, bits, whole), shift);
  Value sum = arith::AddIOp::create(b, arith::BitcastOp::create(b, bits, power),
                                    exponent);
  Value result = arith::BitcastOp::create(b, type, sum);
  // Below the normal numbers: exactly 0, and 0 for minus infinity.
  Value tiny = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x,
                                     splat(b, type, -126));
  result = arith::SelectOp::create(b, tiny, splat(b, type, 0), result);
  // The clamp drops a NaN on some processors.
  Value invalid = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
  return arith::SelectOp::create(b, invalid, x, result);
}

SmallVector<Value> mlir::attn::transposeSquare(ImplicitLocOpBuilder &b,
                                               ArrayRef<Value> rows) {
  // Exchanges blocks of size 1, 2, 4, ... off the diagonal.
  SmallVector<Value> current(rows);
  int64_t n = rows.size();
  for (int64_t block = 1; block < n; block *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < n; ++lane) {
      bool second = lane & block;
      low.push_back(second ? n + lane - block : lane);
      high.push_back(second ? n + lane : lane + block);
    }
    for (int64_t i = 0; i < n; ++i) {
      if (i & block)
        continue;
      Value a = current[i], c = current[i + block];
      current[i] = vector::ShuffleOp::create(b, a, c, low);
      current[i + block] = vector::ShuffleOp::create(b, a, c, high);
    }
  }
  return current;
}
