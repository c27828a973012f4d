//===- Tile.h - What a thread knows of tensors ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_NVIDIA_KERNELS_TILE_H
#define ATTN_LIB_TARGET_NVIDIA_KERNELS_TILE_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/Support/MathExtras.h"
#include <memory>

namespace mlir::attn::nvidia {

/// A tensor in global memory: row-major, without gaps.
struct Buffer {
  Value pointer; ///< in address space 1
  RankedTensorType type;
  SmallVector<Value> strides; ///< in elements, i64
  SmallVector<Value> sizes;   ///< i32
  bool readOnly = false;
};

/// A part of a tensor in global memory, with the steps of the tensor.
struct View {
  const Buffer *buffer = nullptr;
  SmallVector<Value> offsets; ///< in each dimension of the buffer, i32
  SmallVector<int64_t> dims;  ///< of the buffer, for each one of the view
  SmallVector<Value> sizes;   ///< of the view, i32
};

/// How a tile of rows and columns lies in the registers of `warps` warps: the
/// layout of the results of the tensor cores. Warp `w` has the rows of the
/// blocks of 16 number `w`, `w + warps`, ...; thread `t` of it has of each the
/// rows `t / 4` and `t / 4 + 8`, and of each 8 columns `2 (t % 4)` and the
/// next. Four warps have 64 rows, as the results of a warpgroup.
struct Layout {
  int64_t warps, rows, columns;

  int64_t rowBlocks() const { return llvm::divideCeil(rows, 16 * warps); }
  int64_t columnBlocks() const { return llvm::divideCeil(columns, 8); }
  /// Elements of a thread: of a tile, and of a vector of its rows.
  int64_t tileElements() const { return rowBlocks() * columnBlocks() * 4; }
  int64_t rowElements() const { return rowBlocks() * 2; }
  /// Position of a thread's element of a tile.
  int64_t at(int64_t rowBlock, int64_t columnBlock, int64_t half,
             int64_t column) const {
    return (rowBlock * columnBlocks() + columnBlock) * 4 + half * 2 + column;
  }
  /// The element of a vector of rows for an element of a tile.
  int64_t rowOf(int64_t element) const {
    return element / (columnBlocks() * 4) * 2 + element / 2 % 2;
  }
};

/// A tile in shared memory: panels of up to 128 bytes of columns one after the
/// other, each row by row, in the order of the 128, 64 or 32 byte swizzle of
/// tensor maps and wgmma descriptors. Padding is zero.
struct SharedTile {
  Value base; ///< bytes from the start of shared memory, a multiple of 1024
  int64_t rows = 0, columns = 0;
  Type element;

  int64_t elementBytes() const {
    return llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  }
  int64_t paddedRows() const { return llvm::alignTo(rows, 16); }
  int64_t paddedColumns() const {
    return llvm::alignTo(columns, 32 / elementBytes());
  }
  int64_t panelBytes() const {
    int64_t row = paddedColumns() * elementBytes();
    return row % 128 == 0 ? 128 : row % 64 == 0 ? 64 : 32;
  }
  int64_t bytes() const {
    return llvm::alignTo(paddedRows() * paddedColumns() * elementBytes(), 1024);
  }
};

/// What a thread has of a tensor value of a tile program.
struct Tile {
  enum class Kind {
    Empty,   ///< nothing was written yet
    Uniform, ///< every element is the same
    Rows,    ///< a vector: the elements of the thread's rows
    Block,   ///< the thread's elements
    Load,    ///< elements of global memory, read where they are needed
    Global,  ///< in global memory
  };
  Kind kind = Kind::Empty;
  RankedTensorType type;       ///< with the sizes of the layout
  Value rowCount;              ///< rows that count, if not all do; i32
  SmallVector<Value> elements; ///< Uniform: one
  linalg::GenericOp load;
  View view;
  std::shared_ptr<SharedTile> shared; ///< a copy there, for other threads

  int64_t rank() const { return type.getRank(); }
  int64_t rows() const { return type.getDimSize(0); }
  int64_t columns() const { return rank() > 1 ? type.getDimSize(1) : 1; }
};

} // namespace mlir::attn::nvidia

#endif // ATTN_LIB_TARGET_NVIDIA_KERNELS_TILE_H
