//===- HopperEmitter.h - Tile programs of warpgroups ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_NVIDIA_KERNELS_HOPPEREMITTER_H
#define ATTN_LIB_TARGET_NVIDIA_KERNELS_HOPPEREMITTER_H

#include "FragmentEmitter.h"
#include "attn/Dialect/Device/IR/DeviceDialect.h"

namespace mlir::attn::nvidia {

/// Emits a tile program for sm_90a: warpgroups with 64 rows each multiply by
/// wgmma what another warp brings to shared memory.
///
/// The loops over key tiles at the top of the program are loops of rings: each
/// of their loads has a ring of stages in shared memory, with a barrier for
/// full and one for empty stages. One counter of stages runs through all of
/// these loops. The producer walks a clone of the program that has only the
/// loads and what their places depend on. Everything else is as for sm_80,
/// with barriers that only the consumers meet.
class HopperEmitter : public FragmentEmitter {
public:
  HopperEmitter(func::FuncOp source, gpu::GPUFuncOp target,
                LLVM::GlobalOp sharedMemory, device::LaunchOp launch,
                bool skipRescale)
      : FragmentEmitter(source, target, sharedMemory), launch(launch),
        skipRescale(skipRescale) {}

  LogicalResult emit(scf::ForallOp loop);
  /// Threads of a block, with the producer's.
  int64_t blockThreads() const { return threads() + 128; }
  /// One entry for each parameter that is a tensor map.
  ArrayAttr tensorMaps() { return b.getArrayAttr(maps); }
  /// Most bytes of shared memory that a block may have.
  static constexpr int64_t sharedLimit = 227 * 1024;

protected:
  /// Where the rows of a load are, if they follow each other: row `r` is at
  /// `position` + r of a dimension; those from `limit` on are zero.
  struct Rows {
    int64_t dim;
    Value position; ///< in the load's body
    Value limit;    ///< null: all rows exist
    bool mayExceed; ///< rows between `limit` and the tensor's end may exist
    Value map;      ///< the tensor map
  };
  struct Fetch {
    linalg::GenericOp load;
    std::optional<Rows> rows;
  };
  struct Ring {
    int64_t bytes = 0; ///< of a stage
    int64_t begin = 0; ///< of the first stage
  };
  /// A product under way.
  struct Flight {
    Value sums;
    int64_t ring;
    Value stage;
  };

  // Loops of rings (HopperEmitter.cpp).
  bool plan(scf::ForOp op);
  LogicalResult consume(scf::ForallOp loop);
  void placeRings();
  void bindRings(scf::ForOp op);
  LogicalResult emitLoop(scf::ForOp op) override;
  LogicalResult emitIf(scf::IfOp op) override;
  void barrier() override;
  void wait(int64_t pending) override;
  SharedTile allocate(int64_t rows, int64_t columns, Type element) override;

  /// A loop of two products, of which the second one's result is only carried:
  /// it can wait until the first one of the next iteration is under way.
  struct Rotation {
    Contraction first, second;
    unsigned argument;                         ///< carries the second's sums
    llvm::SmallPtrSet<Operation *, 8> late;    ///< what waits for the second
    llvm::SmallPtrSet<Operation *, 2> partial; ///< sums of the thread's own
    SmallVector<bool> isPartial;               ///< for each argument
  };
  /// What an iteration hands to the next one.
  struct Iteration {
    SmallVector<SmallVector<Value>> carried; ///< but for the second's sums
    SmallVector<Value> sums, words;
  };
  // The order of a loop (HopperSchedule.cpp).
  std::optional<Rotation> matchRotation(scf::ForOp op);
  void matchPartialSums(scf::ForOp op, Rotation &rotation);
  LogicalResult emitRotated(scf::ForOp op, const Rotation &rotation);
  LogicalResult emitIteration(scf::ForOp op, const Rotation &rotation,
                              Value variable, bool isFirst, Iteration &state);
  LogicalResult emitRescale(linalg::GenericOp op);
  LogicalResult emitRowReduction(linalg::GenericOp op) override;
  Value sumOfQuad(Value x);
  void takeTurn();
  void passTurn();

  // The producer (HopperProducer.cpp).
  std::optional<Rows> matchRows(linalg::GenericOp load);
  bool isSize(Value limit, const View &view, int64_t dim);
  Value addMap(const View &view, int64_t dim, RankedTensorType tile);
  LogicalResult produce(Block &block);
  LogicalResult produceLoop(scf::ForOp op);
  LogicalResult fetch(const Fetch &fetch, int64_t ring);
  LogicalResult fetchRows(linalg::GenericOp load, const SharedTile &to,
                          Value full);
  bool isKnown(Operation *op);

  // Products (HopperContraction.cpp).
  FailureOr<Tile> contract(const Contraction &product, Tile start) override;
  /// Starts a product: `words` are the thread's left operand (none: it is in
  /// shared memory), `number` counts stages up to that of the right operand.
  FailureOr<Flight> issue(const Contraction &product, ArrayRef<Value> start,
                          ArrayRef<Value> words, Value number);
  /// The left operand in registers; empty if it is in shared memory.
  FailureOr<SmallVector<Value>> leftWords(const Contraction &product);
  Tile finish(const Flight &flight, Value sums, const Tile &like);
  Value descriptor(const SharedTile &tile, Value bytes, int64_t leading);
  bool isWgmma(const Contraction &product);

  // Barriers of rings.
  Value fullBarrier(int64_t ring, Value stage);
  Value emptyBarrier(int64_t ring, Value stage);
  Value stageOf(Value counter) { return modulo(counter, ringStages); }
  Value phaseOf(Value counter) {
    return modulo(divide(counter, ringStages), 2);
  }
  void release(int64_t ring, Value stage);

  static constexpr int64_t ringStages = 2, barrierBytes = 1024;
  device::LaunchOp launch;
  bool skipRescale; ///< where a warp has nothing to rescale
  SmallVector<Attribute> maps;
  SmallVector<Ring> rings;
  DenseMap<Operation *, SmallVector<Fetch>> fetches; ///< of loops of rings
  DenseMap<Value, int64_t> ringOf; ///< of loads in the loop that is emitted
  Value counter;                   ///< of stages
  Value group;                     ///< number of the warpgroup
  Value lead;                      ///< one thread of a warp
  int64_t ringBegin = 0, ringEnd = 0, afterRings = 0;
  bool reusesRings = false;
  Operation *lastRingLoop = nullptr;
  const Rotation *current = nullptr; ///< of the loop that is emitted
};

} // namespace mlir::attn::nvidia

#endif // ATTN_LIB_TARGET_NVIDIA_KERNELS_HOPPEREMITTER_H
