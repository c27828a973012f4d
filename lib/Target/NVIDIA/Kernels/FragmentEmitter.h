//===- FragmentEmitter.h - Tile programs as code of one thread --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_NVIDIA_KERNELS_FRAGMENTEMITTER_H
#define ATTN_LIB_TARGET_NVIDIA_KERNELS_FRAGMENTEMITTER_H

#include "ScalarEmitter.h"

namespace mlir::attn::nvidia {

/// A product of two tiles: out[m, n] += left[m, k] * right[n, k].
struct Contraction {
  linalg::GenericOp op;
  bool leftAcross;  ///< the left tile is [k, m]
  bool rightAcross; ///< the right tile is [k, n]
  bool plain;       ///< the body only multiplies and adds
  int64_t rows, columns, depth;
};

/// A load as what it extracts and under which condition.
struct LoadBody {
  tensor::ExtractOp extract;
  Value exists; ///< null: always
};

/// Walks the body of a tile program and emits what one thread does.
///
/// What all targets share: scalars, elementwise operations, reductions of
/// rows, control flow, stores. What a target may replace are the virtual
/// functions: products (`contract`), how tiles get to shared memory
/// (`copyLoad`, `commit`, `wait`) and loops whose loads run ahead (`emitLoop`).
class FragmentEmitter : public ScalarEmitter {
public:
  FragmentEmitter(func::FuncOp source, gpu::GPUFuncOp target,
                  LLVM::GlobalOp sharedMemory);

  /// Emits the kernel's body, but for the return.
  LogicalResult emit(scf::ForallOp loop);
  /// Bytes of dynamic shared memory.
  int64_t sharedBytes() const { return mostShared; }
  int64_t threads() const { return warps * 32; }
  /// The number of warps for a tile program; 0 if it has no tiles.
  static int64_t warpsFor(scf::ForallOp loop);

protected:
  // Dispatch (FragmentEmitter.cpp).
  LogicalResult emitOp(Operation *op) override;
  FailureOr<Value> emitExtract(tensor::ExtractOp op) override;
  Value emitIndex(linalg::IndexOp op) override;
  LogicalResult emitGeneric(linalg::GenericOp op);
  LogicalResult emitSlice(tensor::ExtractSliceOp op);
  LogicalResult emitInsert(tensor::InsertOp op);
  LogicalResult emitInsertSlice(tensor::InsertSliceOp op);
  bool isGlobal(Value x) const;
  /// `to` is the tensor in global memory that `from` is.
  void alias(Value from, Value to);
  /// Makes what threads wrote to global memory seen by all of them.
  void finishStores();
  LogicalResult storeResult(Value source, const View &view, Operation *op);
  /// What stands before the loop, and the loop's variables and results.
  LogicalResult emitBefore(scf::ForallOp loop);
  LogicalResult emitResults(scf::ForallOp loop);

  // Control flow (ControlFlow.cpp).
  virtual LogicalResult emitLoop(scf::ForOp op);
  virtual LogicalResult emitIf(scf::IfOp op);
  /// Values that a region carries for a value of the program.
  FailureOr<SmallVector<Value>> flatten(Value x, Operation *op);
  Tile likeOf(Value x, const Tile &like);
  /// Gives `x` the carried values, and takes them off the list.
  LogicalResult bind(Value x, ValueRange &values, Operation *op);
  LogicalResult emitRegion(Block &block, Operation *op,
                           SmallVector<Value> &results);
  LogicalResult emitLoopBody(scf::ForOp op, ValueRange carried);

  // Elementwise operations and reductions (Elementwise.cpp).
  Layout layoutOf(RankedTensorType type) const;
  Value rowOf(const Tile &tile, int64_t element);
  Value rowIndex(const Layout &layout, Value rowCount, int64_t rowElement);
  Value columnIndex(const Layout &layout, int64_t element);
  /// An element of a tile at a place that need not be the thread's own.
  FailureOr<Value> elementAt(const Tile &tile, ArrayRef<Value> at,
                             Operation *op);
  FailureOr<Value> emitBody(linalg::GenericOp op, ArrayRef<Value> arguments,
                            ArrayRef<Value> indices);
  LogicalResult emitElementwise(linalg::GenericOp op);
  virtual LogicalResult emitRowReduction(linalg::GenericOp op);
  /// The tile's elements in registers.
  FailureOr<Tile> inRegisters(const Tile &tile, Operation *op);
  Value combineQuad(Operation *combiner, Value x);
  Value shuffle(Value x, int64_t mask);

  // Products of tiles (Contraction.cpp).
  static std::optional<Contraction> matchContraction(linalg::GenericOp op);
  virtual FailureOr<Tile> contract(const Contraction &product, Tile start);
  FailureOr<Tile> multiplyMma(const Contraction &product, Tile start);
  FailureOr<Tile> multiplyScalars(const Contraction &product, Tile start);
  Value multiplyStep(ArrayRef<Value> left, ArrayRef<Value> right,
                     ArrayRef<Value> sum, Type element);
  SmallVector<Value> leftFragment(const Tile &tile, const Layout &layout,
                                  int64_t rowBlock, int64_t step, Type element);
  SmallVector<Value> loadMatrices(const SharedTile &tile, Value lanesRow,
                                  int64_t row, Value lanesColumn,
                                  int64_t columnBytes, bool transposed);

  // Shared memory (SharedMemory.cpp).
  virtual SharedTile allocate(int64_t rows, int64_t columns, Type element);
  Value sharedPointer(Value bytes);
  Value offsetIn(const SharedTile &tile, Value row, Value column);
  Value loadShared(const SharedTile &tile, Value row, Value column);
  void storeShared(const SharedTile &tile, Value row, Value column, Value x);
  virtual void barrier();
  /// Makes sure that no thread still reads what is overwritten now.
  void beforeWrite();
  /// Puts a tile where all threads can read it.
  FailureOr<SharedTile> spill(const Tile &tile, Operation *op);
  /// A copy of the operand in shared memory that is complete.
  FailureOr<SharedTile> inShared(Value operand, Operation *op);
  /// Whether rows of the load can be copied by 16 bytes.
  bool hasWholeRows(linalg::GenericOp load);
  /// The tensor that a load reads, and where and under which condition.
  static std::optional<LoadBody> matchLoad(linalg::GenericOp load);
  /// The row of a load from a column on: pointer and whether it exists.
  LogicalResult rowAddress(linalg::GenericOp load, Value row, Value column,
                           Value &pointer, Value &exists);
  /// Starts to copy a load's tile to shared memory.
  virtual LogicalResult copyLoad(linalg::GenericOp load, const SharedTile &to);
  virtual void commit();
  virtual void wait(int64_t pending); ///< at most so many commits remain
  LogicalResult copyElements(linalg::GenericOp load, const SharedTile &to);
  /// Completes the copies that were started outside of loops.
  void finishCopies();
  /// Loads of a loop's body that depend on nothing the loop carries.
  SmallVector<linalg::GenericOp> loadsAhead(scf::ForOp op);
  /// The scalars of the body that a load needs.
  LogicalResult emitAddressOps(scf::ForOp op, linalg::GenericOp load);

  DenseMap<Value, Tile> tiles;
  int64_t warps;
  Value lane, warp;
  LLVM::GlobalOp sharedMemory;
  Value sharedBase;
  int64_t usedShared = 0, mostShared = 0;
  int64_t stages = 2;
  int64_t depth = 0;    ///< of loops around what is emitted
  bool pending = false; ///< copies are under way
  /// Reductions are of whole rows, not of what a thread has of them.
  bool sharesRows = true;
  bool stored = false; ///< to global memory, unseen by other threads

private:
  /// Of the body that is emitted.
  SmallVector<Value> bodyIndices;
};

/// Emits a loop of which each point belongs to one thread.
class PointEmitter : public ScalarEmitter {
public:
  using ScalarEmitter::ScalarEmitter;
  static constexpr int64_t threads = 128;
  LogicalResult emit(scf::ForallOp loop);
  /// Whether the body works on single elements, or on parts of tensors in
  /// global memory that are no tiles.
  static bool accepts(scf::ForallOp loop);

protected:
  LogicalResult emitOp(Operation *op) override;
  Value emitIndex(linalg::IndexOp op) override;
  LogicalResult emitRegion(Block &block, SmallVector<Value> &results);
  LogicalResult emitLinalg(linalg::LinalgOp op);

private:
  /// Of the element that is computed.
  SmallVector<Value> loopIndices;
};

} // namespace mlir::attn::nvidia

#endif // ATTN_LIB_TARGET_NVIDIA_KERNELS_FRAGMENTEMITTER_H
