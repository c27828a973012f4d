//===- ModelReader.cpp - From the bytes of a file to a Model --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Field numbers are those of the published ONNX schema (IR versions 3 to 14).
//
//===----------------------------------------------------------------------===//
#include "Model.h"
#include "Wire.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

namespace {
constexpr int kMaxDepth = 64;

/// Reads one kind of message each; the first failure sticks.
class Decoder {
public:
  bool model(StringRef bytes, Model &out);
  std::string where;

private:
  bool tensor(StringRef bytes, TensorData &out);
  bool attribute(StringRef bytes, NodeAttr &out, int depth);
  bool node(StringRef bytes, Node &out, int depth);
  bool graph(StringRef bytes, Graph &out, int depth);
  bool function(StringRef bytes, Function &out);
  bool valueInfo(StringRef bytes, ValueInfo &out);
  bool typeProto(StringRef bytes, ValueInfo &out);
  bool shape(StringRef bytes, ValueInfo &out);
  bool opset(StringRef bytes, std::map<std::string, int64_t> &out);
  bool fail(const char *message) {
    if (where.empty())
      where = message;
    return false;
  }
};
} // namespace

/// True when the field is length-delimited; false marks the message as bad.
static bool isBytes(const WireField &field) {
  return field.type == WireField::Bytes;
}

bool Decoder::tensor(StringRef bytes, TensorData &out) {
  WireReader reader(bytes);
  WireField field;
  std::vector<int64_t> dims;
  while (reader.next(field)) {
    switch (field.number) {
    case 1:
      if (!WireReader::append(field, dims))
        return fail("tensor dimensions");
      break;
    case 2:
      out.dataType = static_cast<int32_t>(field.scalar);
      break;
    case 4:
      if (!WireReader::appendFloats<float>(field, out.doubles))
        return fail("float data of a tensor");
      break;
    case 5:
    case 7:
    case 11:
      if (!WireReader::append(field, out.ints))
        return fail("integer data of a tensor");
      break;
    case 10:
      if (!WireReader::appendFloats<double>(field, out.doubles))
        return fail("double data of a tensor");
      break;
    case 8:
      if (!isBytes(field))
        return fail("tensor name");
      out.name = field.bytes;
      break;
    case 9:
      if (!isBytes(field))
        return fail("raw data of a tensor");
      out.raw = field.bytes;
      out.hasRaw = true;
      break;
    case 13: {
      if (!isBytes(field))
        return fail("external data of a tensor");
      WireReader entry(field.bytes);
      WireField part;
      std::pair<StringRef, StringRef> pair;
      while (entry.next(part))
        if (isBytes(part))
          (part.number == 1 ? pair.first : pair.second) = part.bytes;
      if (entry.bad())
        return fail("external data of a tensor");
      out.external.push_back(pair);
      break;
    }
    case 14:
      out.isExternal = field.scalar == 1;
      break;
    default:
      break;
    }
  }
  out.dims.assign(dims.begin(), dims.end());
  return !reader.bad() || fail("tensor");
}

bool Decoder::attribute(StringRef bytes, NodeAttr &out, int depth) {
  WireReader reader(bytes);
  WireField field;
  while (reader.next(field)) {
    switch (field.number) {
    case 2: {
      uint32_t bits = static_cast<uint32_t>(field.scalar);
      std::memcpy(&out.f, &bits, sizeof(float));
      break;
    }
    case 3:
      out.i = static_cast<int64_t>(field.scalar);
      break;
    case 7:
      if (!WireReader::appendFloats<float>(field, out.floats))
        return fail("float list of an attribute");
      break;
    case 8:
      if (!WireReader::append(field, out.ints))
        return fail("integer list of an attribute");
      break;
    case 20:
      out.type = static_cast<int32_t>(field.scalar);
      break;
    case 1:
    case 4:
    case 5:
    case 6:
    case 9:
    case 21:
    case 22:
      if (!isBytes(field))
        return fail("attribute");
      if (field.number == 1)
        out.name = field.bytes;
      if (field.number == 4)
        out.s = field.bytes;
      if (field.number == 9)
        out.strings.push_back(field.bytes);
      if (field.number == 21)
        out.refName = field.bytes;
      if (field.number == 22)
        out.isSparse = true;
      if (field.number == 5) {
        out.tensor = std::make_shared<TensorData>();
        if (!tensor(field.bytes, *out.tensor))
          return false;
      }
      if (field.number == 6) {
        out.graph = std::make_shared<Graph>();
        if (!graph(field.bytes, *out.graph, depth + 1))
          return false;
      }
      break;
    default:
      break;
    }
  }
  return !reader.bad() || fail("attribute");
}

bool Decoder::node(StringRef bytes, Node &out, int depth) {
  WireReader reader(bytes);
  WireField field;
  while (reader.next(field)) {
    if (field.number < 1 || field.number > 8)
      continue;
    if (!isBytes(field))
      return fail("node");
    switch (field.number) {
    case 1:
      out.inputs.push_back(field.bytes);
      break;
    case 2:
      out.outputs.push_back(field.bytes);
      break;
    case 3:
      out.name = field.bytes;
      break;
    case 4:
      out.opType = field.bytes;
      break;
    case 5:
      out.attributes.emplace_back();
      if (!attribute(field.bytes, out.attributes.back(), depth))
        return false;
      break;
    case 7:
      out.domain = field.bytes == "ai.onnx" ? StringRef() : field.bytes;
      break;
    case 8:
      out.overload = field.bytes;
      break;
    default:
      break;
    }
  }
  return !reader.bad() || fail("node");
}

bool Decoder::shape(StringRef bytes, ValueInfo &out) {
  out.hasShape = true;
  WireReader reader(bytes);
  WireField field;
  while (reader.next(field)) {
    if (field.number != 1)
      continue;
    if (!isBytes(field))
      return fail("shape");
    DimInfo dim;
    WireReader parts(field.bytes);
    WireField part;
    while (parts.next(part)) {
      if (part.number == 1 && part.type == WireField::Varint)
        dim.value = static_cast<int64_t>(part.scalar);
      if (part.number == 2 && isBytes(part))
        dim.param = part.bytes;
    }
    if (parts.bad())
      return fail("shape");
    if (dim.value && *dim.value < 0)
      dim.value.reset();
    out.dims.push_back(dim);
  }
  return !reader.bad() || fail("shape");
}

bool Decoder::typeProto(StringRef bytes, ValueInfo &out) {
  WireReader reader(bytes);
  WireField field;
  while (reader.next(field)) {
    if (field.number != 1)
      continue;
    if (!isBytes(field))
      return fail("type");
    out.isTensor = true;
    WireReader parts(field.bytes);
    WireField part;
    while (parts.next(part)) {
      if (part.number == 1)
        out.dataType = static_cast<int32_t>(part.scalar);
      if (part.number == 2 && (!isBytes(part) || !shape(part.bytes, out)))
        return fail("tensor type");
    }
    if (parts.bad())
      return fail("tensor type");
  }
  return !reader.bad() || fail("type");
}

bool Decoder::valueInfo(StringRef bytes, ValueInfo &out) {
  WireReader reader(bytes);
  WireField field;
  while (reader.next(field)) {
    if (field.number > 2)
      continue;
    if (!isBytes(field))
      return fail("value description");
    if (field.number == 1)
      out.name = field.bytes;
    else if (!typeProto(field.bytes, out))
      return false;
  }
  return !reader.bad() || fail("value description");
}

bool Decoder::graph(StringRef bytes, Graph &out, int depth) {
  if (depth > kMaxDepth)
    return fail("graph nested too deeply");
  WireReader reader(bytes);
  WireField field;
  while (reader.next(field)) {
    switch (field.number) {
    case 1:
    case 2:
    case 5:
    case 11:
    case 12:
      if (!isBytes(field))
        return fail("graph");
      break;
    case 15:
      out.hasSparseInitializers = true;
      continue;
    default:
      continue;
    }
    if (field.number == 1) {
      out.nodes.emplace_back();
      if (!node(field.bytes, out.nodes.back(), depth))
        return false;
    } else if (field.number == 2) {
      out.name = field.bytes;
    } else if (field.number == 5) {
      out.initializers.push_back(std::make_shared<TensorData>());
      if (!tensor(field.bytes, *out.initializers.back()))
        return false;
    } else {
      auto &list = field.number == 11 ? out.inputs : out.outputs;
      list.emplace_back();
      if (!valueInfo(field.bytes, list.back()))
        return false;
    }
  }
  return !reader.bad() || fail("graph");
}

bool Decoder::opset(StringRef bytes, std::map<std::string, int64_t> &out) {
  WireReader reader(bytes);
  WireField field;
  StringRef domain;
  int64_t version = 0;
  while (reader.next(field)) {
    if (field.number == 1 && isBytes(field))
      domain = field.bytes;
    if (field.number == 2 && field.type == WireField::Varint)
      version = static_cast<int64_t>(field.scalar);
  }
  out[domain == "ai.onnx" ? "" : domain.str()] = version;
  return !reader.bad() || fail("operator set");
}

bool Decoder::function(StringRef bytes, Function &out) {
  WireReader reader(bytes);
  WireField field;
  while (reader.next(field)) {
    if (!isBytes(field))
      continue;
    switch (field.number) {
    case 1:
      out.name = field.bytes;
      break;
    case 4:
      out.inputs.push_back(field.bytes);
      break;
    case 5:
      out.outputs.push_back(field.bytes);
      break;
    case 6:
      out.attributes.push_back(field.bytes);
      break;
    case 7:
      out.nodes.emplace_back();
      if (!node(field.bytes, out.nodes.back(), 1))
        return false;
      break;
    case 9:
      if (!opset(field.bytes, out.opsets))
        return false;
      break;
    case 10:
      out.domain = field.bytes == "ai.onnx" ? StringRef() : field.bytes;
      break;
    case 11:
      out.attributeDefaults.emplace_back();
      if (!attribute(field.bytes, out.attributeDefaults.back(), 1))
        return false;
      break;
    case 13:
      out.overload = field.bytes;
      break;
    default:
      break;
    }
  }
  return !reader.bad() || fail("function");
}

bool Decoder::model(StringRef bytes, Model &out) {
  WireReader reader(bytes);
  WireField field;
  bool hasGraph = false;
  while (reader.next(field)) {
    if (field.number == 1 && field.type == WireField::Varint)
      out.irVersion = static_cast<int64_t>(field.scalar);
    if (!isBytes(field))
      continue;
    if (field.number == 2)
      out.producer = field.bytes;
    if (field.number == 7) {
      hasGraph = true;
      if (!graph(field.bytes, out.graph, 0))
        return false;
    }
    if (field.number == 8 && !opset(field.bytes, out.opsets))
      return false;
    if (field.number == 25) {
      out.functions.emplace_back();
      if (!function(field.bytes, out.functions.back()))
        return false;
    }
  }
  if (reader.bad())
    return fail("model");
  return hasGraph || fail("model without a graph");
}

//===----------------------------------------------------------------------===//
// Public functions
//===----------------------------------------------------------------------===//

const NodeAttr *Node::find(StringRef name) const {
  for (const NodeAttr &attribute : attributes)
    if (attribute.name == name)
      return &attribute;
  return nullptr;
}

std::optional<int64_t> TensorData::numElements() const {
  int64_t count = 1;
  bool empty = false;
  for (int64_t dim : dims) {
    if (dim < 0)
      return std::nullopt;
    if (dim == 0)
      empty = true;
    else if (llvm::MulOverflow(count, dim, count))
      return std::nullopt;
  }
  // Bytes are counted in int64 as well.
  if (count > (int64_t(1) << 56))
    return std::nullopt;
  return empty ? 0 : count;
}

bool onnx::decodeModel(StringRef bytes, Model &model, std::string &error) {
  Decoder decoder;
  if (decoder.model(bytes, model))
    return true;
  error = "not a readable ONNX model: the data is damaged or cut off (" +
          decoder.where + ")";
  return false;
}

std::unique_ptr<Model> onnx::readModel(StringRef path, std::string &error) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer) {
    error = buffer.getError().message();
    return nullptr;
  }
  auto model = std::make_unique<Model>();
  model->path = path.str();
  model->fileName = llvm::sys::path::filename(path).str();
  model->folder = llvm::sys::path::parent_path(path).str();
  if (model->folder.empty())
    model->folder = ".";
  model->buffers.push_back(std::move(*buffer));
  StringRef bytes = model->buffers.front()->getBuffer();
  if (bytes.empty()) {
    error = "not a readable ONNX model: the file is empty";
    return nullptr;
  }
  if (!decodeModel(bytes, *model, error))
    return nullptr;
  return model;
}

std::string onnx::dataTypeName(int32_t dataType) {
  switch (dataType) {
  case Float32:
    return "float32";
  case UInt8:
    return "uint8";
  case Int8:
    return "int8";
  case UInt16:
    return "uint16";
  case Int16:
    return "int16";
  case Int32:
    return "int32";
  case Int64:
    return "int64";
  case String:
    return "string";
  case Bool:
    return "bool";
  case Float16:
    return "float16";
  case Float64:
    return "float64";
  case UInt32:
    return "uint32";
  case UInt64:
    return "uint64";
  case BFloat16:
    return "bfloat16";
  default:
    return "type " + std::to_string(dataType);
  }
}

int64_t onnx::dataTypeBytes(int32_t dataType) {
  switch (dataType) {
  case UInt8:
  case Int8:
  case Bool:
    return 1;
  case UInt16:
  case Int16:
  case Float16:
  case BFloat16:
    return 2;
  case Float32:
  case Int32:
  case UInt32:
    return 4;
  case Float64:
  case Int64:
  case UInt64:
    return 8;
  default:
    return 0;
  }
}

bool onnx::isUnsigned(int32_t dataType) {
  return dataType == UInt8 || dataType == UInt16 || dataType == UInt32 ||
         dataType == UInt64 || dataType == Bool;
}

bool onnx::isFloat(int32_t dataType) {
  return dataType == Float32 || dataType == Float16 || dataType == Float64 ||
         dataType == BFloat16;
}

bool onnx::isInteger(int32_t dataType) {
  return dataTypeBytes(dataType) != 0 && !isFloat(dataType) && dataType != Bool;
}
