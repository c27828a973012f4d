//===- TensorProto.cpp - ONNX tensor files --------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TensorProto.h"
#include "../DataType.h"
#include <cstring>
#include <optional>

using namespace attn::rt;

namespace {
/// Field numbers of TensorProto in onnx.proto.
enum Field {
  FieldDims = 1,
  FieldDataType = 2,
  FieldFloatData = 4,
  FieldInt32Data = 5,
  FieldStringData = 6,
  FieldInt64Data = 7,
  FieldName = 8,
  FieldRawData = 9,
  FieldDoubleData = 10,
  FieldUint64Data = 11,
  FieldDataLocation = 14
};

enum Wire { WireVarint = 0, WireFixed64 = 1, WireBytes = 2, WireFixed32 = 5 };

/// Reads protobuf's wire format; every read is checked against the end.
class WireReader {
public:
  WireReader(std::string_view bytes, const std::string &where)
      : bytes(bytes), where(where) {}

  bool atEnd() const { return position == bytes.size(); }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128)
        return value;
    }
    fail("'", where, "' is malformed at byte ", position,
         ": a number is too "
         "long");
  }

  std::string_view take(uint64_t count) {
    if (count > bytes.size() - position)
      fail("'", where, "' is truncated: it ends at byte ", bytes.size(),
           " but ", count, " more bytes are needed at ", position);
    position += count;
    return bytes.substr(position - count, count);
  }

  void skip(unsigned wire) {
    if (wire == WireVarint)
      varint();
    else if (wire == WireFixed64)
      take(8);
    else if (wire == WireBytes)
      take(varint());
    else if (wire == WireFixed32)
      take(4);
    else
      fail("'", where, "' is malformed at byte ", position, ": wire type ",
           wire);
  }

private:
  std::string_view bytes;
  const std::string &where;
  size_t position = 0;
};

/// The fields of a TensorProto as they are on the wire.
struct Fields {
  std::vector<int64_t> dims;
  int64_t dataType = 0;
  std::string_view name;
  std::optional<std::string_view> raw;
  std::vector<int64_t> integers; ///< int32_data, int64_data or uint64_data
  std::vector<double> numbers;   ///< float_data or double_data
  bool hasStrings = false, isExternal = false;
};
} // namespace

/// Appends the values of a repeated number, packed or not.
template <typename Read>
static void readRepeated(WireReader &reader, unsigned wire,
                         const std::string &where, Read read) {
  if (wire != WireBytes)
    return read(reader);
  WireReader packed(reader.take(reader.varint()), where);
  while (!packed.atEnd())
    read(packed);
}

template <typename Type>
static double readFixed(WireReader &reader) {
  Type value;
  std::memcpy(&value, reader.take(sizeof(Type)).data(), sizeof(Type));
  return value;
}

static Fields readFields(std::string_view bytes, const std::string &where) {
  Fields fields;
  WireReader reader(bytes, where);
  auto readInts = [&](unsigned wire, std::vector<int64_t> &values) {
    readRepeated(reader, wire, where, [&](WireReader &source) {
      values.push_back(static_cast<int64_t>(source.varint()));
    });
  };
  while (!reader.atEnd()) {
    uint64_t key = reader.varint();
    unsigned wire = key & 7;
    bool isNumber = wire == WireVarint || wire == WireBytes;
    switch (key >> 3) {
    case FieldDims:
      if (!isNumber)
        break;
      readInts(wire, fields.dims);
      continue;
    case FieldInt32Data:
    case FieldInt64Data:
    case FieldUint64Data:
      if (!isNumber)
        break;
      readInts(wire, fields.integers);
      continue;
    case FieldDataType:
    case FieldDataLocation: {
      if (wire != WireVarint)
        break;
      uint64_t value = reader.varint();
      if (key >> 3 == FieldDataType)
        fields.dataType = static_cast<int64_t>(value);
      else
        fields.isExternal = value == 1;
      continue;
    }
    case FieldFloatData:
      if (wire != WireFixed32 && wire != WireBytes)
        break;
      readRepeated(reader, wire, where, [&](WireReader &source) {
        fields.numbers.push_back(readFixed<float>(source));
      });
      continue;
    case FieldDoubleData:
      if (wire != WireFixed64 && wire != WireBytes)
        break;
      readRepeated(reader, wire, where, [&](WireReader &source) {
        fields.numbers.push_back(readFixed<double>(source));
      });
      continue;
    case FieldName:
    case FieldRawData:
    case FieldStringData: {
      if (wire != WireBytes)
        break;
      std::string_view value = reader.take(reader.varint());
      if (key >> 3 == FieldName)
        fields.name = value;
      else if (key >> 3 == FieldRawData)
        fields.raw = value;
      else
        fields.hasStrings = true;
      continue;
    }
    default:
      break;
    }
    reader.skip(wire);
  }
  return fields;
}

[[noreturn]] static void unsupported(const std::string &where,
                                     const std::string &what) {
  throw UnsupportedTensor("'" + where + "' holds " + what);
}

ProtoTensor attn::rt::parseTensorProto(std::string_view bytes,
                                       const std::string &where) {
  Fields fields = readFields(bytes, where);
  auto dtype = static_cast<int32_t>(fields.dataType);
  if (fields.hasStrings || fields.dataType == 8)
    unsupported(where, "strings");
  if (fields.isExternal)
    unsupported(where, "external data");
  if (fields.dataType <= 0 || fields.dataType > 64)
    fail("'", where, "' has element type ", fields.dataType,
         ", which is no ONNX type");
  if (dataTypeSize(dtype) == 0)
    unsupported(where, "elements of ONNX type " + std::to_string(dtype));
  if (fields.dims.size() > ATTN_RT_MAX_RANK)
    unsupported(where,
                "a tensor of rank " + std::to_string(fields.dims.size()));
  int32_t rank = static_cast<int32_t>(fields.dims.size());
  std::optional<int64_t> count =
      numElements(fields.dims.data(), rank, dataTypeSize(dtype));
  if (!count)
    fail("'", where, "' has the impossible shape ",
         shapeText(fields.dims.data(), rank));
  int64_t wantedBytes = *count * dataTypeSize(dtype);
  if (fields.raw && static_cast<int64_t>(fields.raw->size()) != wantedBytes)
    fail("'", where, "' holds ", fields.raw->size(),
         " bytes but its shape and type need ", wantedBytes);
  bool isFloating = dtype == ATTN_RT_FLOAT32 || dtype == ATTN_RT_FLOAT64;
  size_t given = isFloating ? fields.numbers.size() : fields.integers.size();
  if (!fields.raw && static_cast<int64_t>(given) != *count)
    fail("'", where, "' holds ", given, " elements but its shape needs ",
         *count);

  ProtoTensor result{std::string(fields.name), Tensor(dtype, fields.dims)};
  Tensor &tensor = result.tensor;
  if (fields.raw) {
    if (wantedBytes)
      std::memcpy(tensor.data(), fields.raw->data(), wantedBytes);
    return result;
  }
  bool isHalf = dtype == ATTN_RT_FLOAT16 || dtype == ATTN_RT_BFLOAT16;
  for (int64_t i = 0; i < *count; ++i) {
    if (isFloating) {
      tensor.set(i, fields.numbers[i]);
    } else if (isHalf) {
      // The low 16 bits of int32_data are the bits of the number.
      auto bits = static_cast<uint16_t>(fields.integers[i]);
      std::memcpy(tensor.data() + 2 * i, &bits, sizeof(bits));
    } else {
      tensor.setInt(i, fields.integers[i]);
    }
  }
  return result;
}
