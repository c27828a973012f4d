//===- Emitter.h - Tensor values and how to build on them -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The vocabulary of the operator files: values with symbolic shapes, and
// functions that build linalg and tensor operations on them. Small constants
// and shape arithmetic are followed here and fold away.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_EMITTER_H
#define ATTN_LIB_FRONTEND_ONNX_EMITTER_H

#include "Dim.h"
#include "Model.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::attn::frontend::onnx {

/// A tensor of the model while it is imported. At least one of `value`,
/// `elements` and `constant` says what it holds.
struct TensorValue {
  int32_t dataType = Undefined;
  Shape shape;
  /// The SSA value, once a real tensor was needed.
  Value value;
  /// Integers of a tensor of rank 0 or 1, as polynomials.
  std::optional<SmallVector<Dim>> elements;
  /// The elements of a small constant.
  DenseElementsAttr constant;
  /// Result of a node that could not be imported.
  bool isPoison = false;

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
};

/// Without inline storage, the values being large.
using TensorValues = SmallVector<TensorValue, 0>;

/// Builds the body of an elementwise operation on scalars.
using ScalarBody = llvm::function_ref<Value(OpBuilder &, Location, ValueRange)>;

class Emitter {
public:
  Emitter(MLIRContext *context, Block *entry);

  OpBuilder &getBuilder() { return builder; }
  Location getLoc() const { return loc; }
  void setLoc(Location newLoc) { loc = newLoc; }

  /// The signless MLIR type of an ONNX element type; null if not handled.
  Type elementType(int32_t dataType);
  RankedTensorType tensorType(ArrayRef<Dim> shape, int32_t dataType);
  RankedTensorType tensorType(ArrayRef<Dim> shape, Type element);

  //===--------------------------------------------------------------------===//
  // Symbols and dimensions
  //===--------------------------------------------------------------------===//

  /// A new symbol whose value is the index `value`. `isSize`: never negative.
  Dim newSymbol(Value value, bool isSize, StringRef name = "");
  /// The symbol of an input dimension of that name, if it has been seen.
  std::optional<Dim> findNamed(StringRef name) const;
  void nameSymbol(StringRef name, const Dim &dim) { named[name] = dim; }
  StringRef symbolName(unsigned id) const { return symbols[id].name; }
  unsigned numSymbols() const { return static_cast<unsigned>(symbols.size()); }
  /// A dimension read from a tensor.
  Dim dimOf(Value tensor, int64_t index);

  /// True when provably `a >= b`.
  bool isAtLeast(const Dim &a, const Dim &b) const;
  /// True when every symbol of the polynomial is a size.
  bool isSizeOnly(const Dim &dim) const;

  Dim floorDiv(const Dim &a, const Dim &b);
  Dim ceilDiv(const Dim &a, const Dim &b);
  /// C-style remainder of sizes.
  Dim minDim(const Dim &a, const Dim &b);
  Dim maxDim(const Dim &a, const Dim &b);
  /// Index operation without a polynomial form; equal calls give one symbol.
  Dim opaque(StringRef operation, ArrayRef<Dim> operands, bool isSize,
             llvm::function_ref<Value(ValueRange)> build);

  /// The index value of a polynomial, and the same as a fold result.
  Value indexValue(const Dim &dim);
  OpFoldResult foldResult(const Dim &dim);
  SmallVector<OpFoldResult> foldResults(ArrayRef<Dim> dims);
  Value indexConstant(int64_t value);

  /// Ends the run with a message unless the sizes are equal, or, if `orOne`,
  /// `a` is 1. Nothing is emitted where that is proved.
  void requireEqual(const Dim &a, const Dim &b, bool orOne = false);
  /// The same unless `a <= b`.
  void requireAtMost(const Dim &a, const Dim &b);
  /// The same unless `size` is not 0 or `count` is.
  void requireElements(const Dim &size, const Dim &count, const Twine &message);
  /// Checks a condition at run time.
  void require(Value condition, const Twine &message);

  /// The dimension of two broadcast dimensions; nullopt when they conflict.
  std::optional<Dim> broadcastDim(const Dim &a, const Dim &b);
  std::optional<Shape> broadcastShapes(ArrayRef<Dim> a, ArrayRef<Dim> b);

  /// While one of these lives, values built are not reused after it; used
  /// around nested regions.
  class RegionScope {
  public:
    explicit RegionScope(Emitter &emitter)
        : emitter(emitter), savedIndices(emitter.indexCache),
          savedOpaque(emitter.opaqueCache) {}
    ~RegionScope() {
      emitter.indexCache = std::move(savedIndices);
      emitter.opaqueCache = std::move(savedOpaque);
    }

  private:
    Emitter &emitter;
    llvm::StringMap<Value> savedIndices;
    llvm::StringMap<Dim> savedOpaque;
  };

  //===--------------------------------------------------------------------===//
  // Values
  //===--------------------------------------------------------------------===//

  TensorValue fromValue(Value value, int32_t dataType, ArrayRef<Dim> shape);
  /// A value whose shape is read from its type; new symbols where dynamic.
  TensorValue fromValue(Value value, int32_t dataType);
  TensorValue fromConstant(DenseElementsAttr constant, int32_t dataType);
  /// An integer tensor of rank 0 (one element, `isScalar`) or 1.
  TensorValue fromElements(ArrayRef<Dim> elements, bool isScalar,
                           int32_t dataType = Int64);
  TensorValue scalar(double value, int32_t dataType);

  /// The SSA value; built on first use.
  Value materialize(TensorValue &tensor);
  Value materialize(const TensorValue &tensor) {
    TensorValue copy = tensor;
    return materialize(copy);
  }
  /// The integers of a tensor of rank 0 or 1, read at run time if need be;
  /// nullopt when it is no integer tensor of known small length.
  std::optional<SmallVector<Dim>> elementsOf(TensorValue &tensor);
  /// The same, when they are known at compile time.
  std::optional<SmallVector<int64_t>> constantInts(const TensorValue &tensor);
  /// The number in a one-element constant.
  std::optional<double> constantScalar(const TensorValue &tensor);

  /// A constant scalar at the start of the function.
  Value scalarConstant(Type type, double value);
  Value scalarConstant(TypedAttr value);
  /// Places `build`'s operation at the start of the function.
  Value atEntry(llvm::function_ref<Value(OpBuilder &)> build);

  //===--------------------------------------------------------------------===//
  // Building blocks. Shapes must have been checked by the caller.
  //===--------------------------------------------------------------------===//

  Value empty(ArrayRef<Dim> shape, Type element);
  /// A tensor that holds one scalar everywhere.
  Value filled(ArrayRef<Dim> shape, Value scalar);

  /// One linalg.generic on broadcast operands; `shape` is their broadcast
  /// shape. Small constant operands are evaluated instead.
  TensorValue elementwise(ArrayRef<TensorValue> operands, ArrayRef<Dim> shape,
                          int32_t resultType, ScalarBody body);
  /// The same for one operand.
  TensorValue map(const TensorValue &operand, int32_t resultType,
                  ScalarBody body) {
    return elementwise(operand, operand.shape, resultType, body);
  }
  /// Like `elementwise`, for a result that depends on where it stands: the
  /// body gets the index values of all dimensions after the operands.
  TensorValue indexed(ArrayRef<TensorValue> operands, ArrayRef<Dim> shape,
                      int32_t resultType, ScalarBody body);
  TensorValue cast(const TensorValue &operand, int32_t resultType);

  TensorValue transpose(const TensorValue &operand, ArrayRef<int64_t> perm);
  TensorValue reshape(const TensorValue &operand, ArrayRef<Dim> shape);
  TensorValue broadcastTo(const TensorValue &operand, ArrayRef<Dim> shape);
  /// Unit dimensions at these places of the result.
  TensorValue unsqueeze(const TensorValue &operand, ArrayRef<int64_t> axes);
  TensorValue squeeze(const TensorValue &operand, ArrayRef<int64_t> axes);
  /// `sizes[i]` elements from `offsets[i]` on, in positive steps.
  TensorValue slice(const TensorValue &operand, ArrayRef<Dim> offsets,
                    ArrayRef<Dim> sizes, ArrayRef<int64_t> strides);
  /// The slice of one dimension.
  TensorValue sliceAlong(const TensorValue &operand, int64_t axis,
                         const Dim &offset, const Dim &size);
  TensorValue concat(ArrayRef<TensorValue> operands, int64_t axis);
  /// An index read from a tensor: negative ones count from the end, and none
  /// leaves a dimension of `size`, whatever the input says.
  Value safeIndex(OpBuilder &b, Location l, Value raw, Value size);
  /// The slices of `data` along `axis` that `indices` name.
  TensorValue gather(const TensorValue &data, const TensorValue &indices,
                     int64_t axis);
  /// `tensor.pad` with a scalar of the element type.
  TensorValue pad(const TensorValue &operand, ArrayRef<Dim> low,
                  ArrayRef<Dim> high, Value scalar);

  /// Folds `axes` with `combine(accumulator, element)`, from `init`.
  TensorValue reduce(const TensorValue &operand, ArrayRef<int64_t> axes,
                     bool keepDims, Value init, ScalarBody combine);
  TensorValue reduceSum(const TensorValue &operand, ArrayRef<int64_t> axes,
                        bool keepDims);
  TensorValue reduceMean(const TensorValue &operand, ArrayRef<int64_t> axes,
                         bool keepDims);
  /// The product of dimensions as a scalar of a float type.
  Value countAsFloat(const Dim &count, Type type);

  /// NumPy's matmul; accumulates half types in f32. Null value: shapes do not
  /// fit.
  TensorValue matmul(const TensorValue &a, const TensorValue &b,
                     int32_t resultType);
  /// Softmax over one dimension; half types are computed in f32.
  TensorValue softmax(const TensorValue &operand, int64_t axis);

private:
  struct Symbol {
    std::string name;
    Value value;
    bool isSize;
  };

  TensorValue generic(ArrayRef<TensorValue> operands, ArrayRef<Dim> shape,
                      int32_t resultType, bool withIndices, ScalarBody body);
  std::optional<TensorValue> evaluate(ArrayRef<TensorValue> operands,
                                      ArrayRef<Dim> shape, int32_t resultType,
                                      ScalarBody body);
  TensorValue collapse(const TensorValue &operand,
                       ArrayRef<SmallVector<int64_t, 2>> groups,
                       ArrayRef<Dim> shape);
  TensorValue expand(const TensorValue &operand,
                     ArrayRef<SmallVector<int64_t, 2>> groups,
                     ArrayRef<Dim> shape);
  Value castTo(Value value, ArrayRef<Dim> shape);
  void checkBroadcast(ArrayRef<TensorValue> operands, ArrayRef<Dim> shape);

  OpBuilder builder;
  Location loc;
  Block *entry;
  Operation *lastAtEntry = nullptr;
  SmallVector<Symbol> symbols;
  llvm::StringMap<Dim> named;
  llvm::StringMap<Value> indexCache;
  llvm::StringMap<Dim> opaqueCache;
  llvm::DenseMap<Attribute, Value> constants;
};

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_EMITTER_H
