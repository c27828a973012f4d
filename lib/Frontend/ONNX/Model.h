//===- Model.h - Read-only view of an ONNX model ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the importer knows of a model file. Strings and tensor bytes point
// into the mapped file; nothing is copied.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_MODEL_H
#define ATTN_LIB_FRONTEND_ONNX_MODEL_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlir::attn::frontend::onnx {

/// Element types by their ONNX numbers.
enum DataType : int32_t {
  Undefined = 0,
  Float32 = 1,
  UInt8 = 2,
  Int8 = 3,
  UInt16 = 4,
  Int16 = 5,
  Int32 = 6,
  Int64 = 7,
  String = 8,
  Bool = 9,
  Float16 = 10,
  Float64 = 11,
  UInt32 = 12,
  UInt64 = 13,
  BFloat16 = 16
};

/// "float32" and so on; "type 17" for one without a name here.
std::string dataTypeName(int32_t dataType);
/// Bytes of one element; 0 when the importer does not handle the type.
int64_t dataTypeBytes(int32_t dataType);
bool isUnsigned(int32_t dataType);
bool isFloat(int32_t dataType);
bool isInteger(int32_t dataType);

struct TensorData {
  StringRef name;
  int32_t dataType = Undefined;
  SmallVector<int64_t, 4> dims;
  /// Little-endian elements, where the file holds them so.
  StringRef raw;
  bool hasRaw = false;
  /// Where the raw bytes stand: in the model (empty) or another file.
  std::string file;
  int64_t offset = 0;
  /// Elements of the typed fields, in the widest type of their field.
  std::vector<double> doubles;
  std::vector<int64_t> ints;
  bool isExternal = false;
  std::vector<std::pair<StringRef, StringRef>> external;

  /// Product of the dimensions; nullopt when negative or too large.
  std::optional<int64_t> numElements() const;
};

struct Graph;

struct NodeAttr {
  StringRef name;
  StringRef refName;
  int32_t type = 0;
  float f = 0;
  int64_t i = 0;
  StringRef s;
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<StringRef> strings;
  std::shared_ptr<TensorData> tensor;
  std::shared_ptr<Graph> graph;
  bool isSparse = false;
};

struct Node {
  StringRef name, opType, domain, overload;
  std::vector<StringRef> inputs, outputs;
  std::vector<NodeAttr> attributes;

  const NodeAttr *find(StringRef name) const;
};

struct DimInfo {
  std::optional<int64_t> value;
  StringRef param;
};

struct ValueInfo {
  StringRef name;
  int32_t dataType = Undefined;
  bool isTensor = false;
  /// False for a tensor of unknown rank.
  bool hasShape = false;
  SmallVector<DimInfo, 4> dims;
};

struct Graph {
  StringRef name;
  std::vector<Node> nodes;
  std::vector<std::shared_ptr<TensorData>> initializers;
  std::vector<ValueInfo> inputs, outputs;
  bool hasSparseInitializers = false;
};

struct Function {
  StringRef name, domain, overload;
  std::vector<StringRef> inputs, outputs, attributes;
  std::vector<NodeAttr> attributeDefaults;
  std::vector<Node> nodes;
  std::map<std::string, int64_t> opsets;
};

struct Model {
  /// The mapped file and every external data file.
  std::vector<std::shared_ptr<llvm::MemoryBuffer>> buffers;
  std::string path, fileName, folder;
  int64_t irVersion = 0;
  StringRef producer;
  std::map<std::string, int64_t> opsets;
  Graph graph;
  std::vector<Function> functions;
};

/// Maps and reads the model at `path`; null, with `error` set, when it is
/// missing or malformed.
std::unique_ptr<Model> readModel(StringRef path, std::string &error);

/// Decodes a model that lies in memory. The strings of `model` point into
/// `bytes`.
bool decodeModel(StringRef bytes, Model &model, std::string &error);

/// Finds the bytes of a tensor in an external file and checks them: the file
/// lies in the model's folder, and the range inside the file.
bool resolveExternal(Model &model, TensorData &tensor, std::string &error);

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_MODEL_H
