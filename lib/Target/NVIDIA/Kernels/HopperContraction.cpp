//===- HopperContraction.cpp - Products of warpgroups ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "HopperEmitter.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

/// Whether wgmma computes the product; its right tile is in shared memory.
bool HopperEmitter::isWgmma(const Contraction &product) {
  linalg::GenericOp op = product.op;
  auto element = [&](Value x) {
    return cast<RankedTensorType>(x.getType()).getElementType();
  };
  Type left = element(op.getDpsInputOperand(0)->get());
  return product.plain && !product.leftAcross && product.rows == 16 * warps &&
         product.columns % 8 == 0 && product.columns <= 256 &&
         product.depth % 16 == 0 && (left.isF16() || left.isBF16()) &&
         left == element(op.getDpsInputOperand(1)->get()) &&
         element(op.getResult(0)).isF32();
}

/// The descriptor of the tile's part that starts at `bytes`.
Value HopperEmitter::descriptor(const SharedTile &tile, Value bytes,
                                int64_t leading) {
  int64_t panel = tile.panelBytes();
  uint64_t mode = panel == 128 ? 1 : panel == 64 ? 2 : 3;
  uint64_t fields = mode << 62 | static_cast<uint64_t>(panel / 2) << 32 |
                    static_cast<uint64_t>(leading / 16) << 16;
  Value address = LLVM::PtrToIntOp::create(
      b, b.getI32Type(), sharedPointer(add(tile.base, bytes)));
  Value wideAddress =
      arith::ExtUIOp::create(b, b.getI64Type(), divide(address, 16));
  return arith::OrIOp::create(b, wideAddress,
                              wide(static_cast<int64_t>(fields)));
}

FailureOr<SmallVector<Value>>
HopperEmitter::leftWords(const Contraction &product) {
  linalg::GenericOp op = product.op;
  Value left = op.getDpsInputOperand(0)->get();
  auto found = tiles.find(left);
  if (found == tiles.end())
    return fail(op, "reads what is no tile");
  SmallVector<Value> words;
  if (found->second.kind != Tile::Kind::Block)
    return words;
  Tile tile = found->second;
  Layout layout = {warps, product.rows, product.depth};
  for (int64_t step = 0; step < product.depth / 16; ++step)
    llvm::append_range(
        words, leftFragment(tile, layout, 0, step, tile.type.getElementType()));
  return words;
}

FailureOr<HopperEmitter::Flight>
HopperEmitter::issue(const Contraction &product, ArrayRef<Value> start,
                     ArrayRef<Value> words, Value number) {
  linalg::GenericOp op = product.op;
  Value left = op.getDpsInputOperand(0)->get();
  Value right = op.getDpsInputOperand(1)->get();
  int64_t ring = ringOf.lookup(right);
  Type element = cast<RankedTensorType>(left.getType()).getElementType();
  int64_t steps = product.depth / 16;
  SmallVector<Value> parts; // of the left operand, for each step
  bool inRegister = !words.empty();
  auto plus = [&](Value x, int64_t bytes) -> Value {
    if (bytes == 0)
      return x;
    return arith::AddIOp::create(b, x, wide(bytes / 16));
  };
  if (inRegister) {
    for (int64_t step = 0; step < steps; ++step) {
      Value part =
          LLVM::PoisonOp::create(b, VectorType::get({4}, b.getI32Type()));
      for (int64_t i = 0; i < 4; ++i)
        part = LLVM::InsertElementOp::create(b, part, words[step * 4 + i],
                                             constant(i));
      parts.push_back(part);
    }
  } else {
    FailureOr<SharedTile> shared = inShared(left, op);
    if (failed(shared))
      return failure();
    int64_t panel = shared->panelBytes();
    Value first = descriptor(*shared, mul(group, 64 * panel), 16);
    for (int64_t step = 0; step < steps; ++step)
      parts.push_back(
          plus(first, step * 32 / panel * panel * shared->paddedRows() +
                          step * 32 % panel));
  }
  // The stage of the ring.
  SharedTile shared = *tiles[right].shared;
  Value stage = stageOf(number);
  int64_t panel = shared.panelBytes(), rows = shared.paddedRows();
  Value base =
      descriptor(shared, constant(0), product.rightAcross ? panel * rows : 16);
  base = arith::AddIOp::create(
      b, base,
      arith::ExtUIOp::create(b, b.getI64Type(),
                             mul(stage, rings[ring].bytes / 16)));
  nv::MBarrierWaitOp::create(b, fullBarrier(ring, stage), phaseOf(number));

  int64_t count = product.columns / 2;
  auto type = VectorType::get({count}, b.getF32Type());
  bool isFresh = llvm::all_of(
      start, [](Value x) { return matchPattern(x, m_AnyZeroFloat()); });
  Value sums;
  SmallVector<Value> fenced;
  if (!isFresh) {
    sums = LLVM::PoisonOp::create(b, type);
    for (auto [i, x] : llvm::enumerate(start))
      sums = LLVM::InsertElementOp::create(b, sums, x, constant(i));
    fenced.push_back(sums);
  }
  if (inRegister)
    llvm::append_range(fenced, parts);
  auto fence = nv::WgmmaFenceOp::create(b, fenced);
  fenced.assign(fence.getResults().begin(), fence.getResults().end());
  if (inRegister)
    parts.assign(fenced.end() - steps, fenced.end());
  if (!isFresh)
    sums = fenced.front();
  auto matrix = element.isF16() ? nv::MatrixType::f16 : nv::MatrixType::bf16;
  for (int64_t step = 0; step < steps; ++step) {
    int64_t bytes = product.rightAcross
                        ? step * 16 * panel
                        : step * 32 / panel * panel * rows + step * 32 % panel;
    sums = nv::WgmmaOp::create(b, type, matrix, parts[step], plus(base, bytes),
                               sums, /*trans_a=*/false, product.rightAcross);
  }
  NVVM::WgmmaGroupSyncAlignedOp::create(b);
  return Flight{sums, ring, stage};
}

/// The thread's elements of a product that is complete.
Tile HopperEmitter::finish(const Flight &flight, Value sums, const Tile &like) {
  Tile result = like;
  result.kind = Tile::Kind::Block;
  result.elements.clear();
  int64_t count = cast<VectorType>(sums.getType()).getNumElements();
  for (int64_t i = 0; i < count; ++i)
    result.elements.push_back(
        LLVM::ExtractElementOp::create(b, sums, constant(i)));
  release(flight.ring, flight.stage);
  return result;
}

FailureOr<Tile> HopperEmitter::contract(const Contraction &product,
                                        Tile start) {
  linalg::GenericOp op = product.op;
  if (!ringOf.contains(op.getDpsInputOperand(1)->get()))
    return FragmentEmitter::contract(product, start);
  FailureOr<SmallVector<Value>> words = leftWords(product);
  if (failed(words))
    return failure();
  FailureOr<Flight> flight = issue(product, start.elements, *words, counter);
  if (failed(flight))
    return failure();
  auto wait = nv::WgmmaWaitOp::create(b, 0, ValueRange(flight->sums));
  return finish(*flight, wait.getResult(0), start);
}
