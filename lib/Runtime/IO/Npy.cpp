//===- Npy.cpp - NumPy's array files --------------------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Npy.h"
#include "../DataType.h"
#include "../Error.h"
#include "File.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

using namespace attn::rt;

static_assert(std::endian::native == std::endian::little,
              "element bytes are taken as they are in memory");

namespace {
/// NumPy's letter and width of each type.
struct TypeRow {
  int32_t dtype;
  char kind;
  int width;
};

struct Header {
  std::string descr;
  std::optional<bool> isFortran;
  std::optional<std::vector<int64_t>> shape;
};

/// Reads the Python dictionary in the header of an .npy file.
class HeaderParser {
public:
  HeaderParser(std::string_view text, const std::string &name)
      : text(text), name(name) {}

  Header parse() {
    Header header;
    expect('{');
    while (!accept('}')) {
      std::string key = parseString();
      expect(':');
      if (key == "descr")
        header.descr = parseDescr();
      else if (key == "fortran_order")
        header.isFortran = parseBool();
      else if (key == "shape")
        header.shape = parseShape();
      else
        bad("unknown key '" + key + "'");
      if (!accept(',') && peek() != '}')
        bad("expected ',' or '}'");
    }
    if (header.descr.empty() || !header.isFortran || !header.shape)
      bad("it needs 'descr', 'fortran_order' and 'shape'");
    return header;
  }

private:
  [[noreturn]] void bad(const std::string &why) {
    fail("'", name, "' has a malformed .npy header at character ", position,
         ": ", why);
  }

  char peek() {
    while (position < text.size() &&
           (text[position] == ' ' || text[position] == '\n' ||
            text[position] == '\t'))
      ++position;
    return position < text.size() ? text[position] : '\0';
  }

  bool accept(char c) {
    if (peek() != c)
      return false;
    ++position;
    return true;
  }

  void expect(char c) {
    if (!accept(c))
      bad(std::string("expected '") + c + "'");
  }

  std::string parseString() {
    char quote = peek();
    if (quote != '\'' && quote != '"')
      bad("expected a string");
    size_t end = text.find(quote, position + 1);
    if (end == std::string_view::npos)
      bad("a string does not end");
    std::string value(text.substr(position + 1, end - position - 1));
    position = end + 1;
    return value;
  }

  std::string parseDescr() {
    if (peek() == '[')
      fail("'", name, "' holds records; expected one number per element");
    return parseString();
  }

  bool parseBool() {
    peek();
    for (bool value : {true, false}) {
      std::string_view word = value ? "True" : "False";
      if (text.substr(position, word.size()) == word) {
        position += word.size();
        return value;
      }
    }
    bad("expected True or False");
  }

  std::vector<int64_t> parseShape() {
    std::vector<int64_t> shape;
    expect('(');
    while (!accept(')')) {
      shape.push_back(parseSize());
      if (!accept(',') && peek() != ')')
        bad("expected ',' or ')'");
    }
    return shape;
  }

  int64_t parseSize() {
    int64_t value = 0;
    peek();
    size_t start = position;
    while (position < text.size() && text[position] >= '0' &&
           text[position] <= '9') {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text[position] - '0', &value))
        bad("a size is too large");
      ++position;
    }
    if (position == start)
      bad("expected a size");
    return value;
  }

  std::string_view text;
  const std::string &name;
  size_t position = 0;
};
} // namespace

static constexpr TypeRow types[] = {
    {ATTN_RT_FLOAT32, 'f', 4}, {ATTN_RT_FLOAT64, 'f', 8},
    {ATTN_RT_FLOAT16, 'f', 2}, {ATTN_RT_BFLOAT16, 'V', 2},
    {ATTN_RT_INT8, 'i', 1},    {ATTN_RT_INT16, 'i', 2},
    {ATTN_RT_INT32, 'i', 4},   {ATTN_RT_INT64, 'i', 8},
    {ATTN_RT_UINT8, 'u', 1},   {ATTN_RT_UINT16, 'u', 2},
    {ATTN_RT_UINT32, 'u', 4},  {ATTN_RT_UINT64, 'u', 8},
    {ATTN_RT_BOOL, 'b', 1},
};

static const TypeRow &findType(const std::string &descr,
                               const std::string &name) {
  bool hasOrder = !descr.empty() && std::strchr("<>=|", descr[0]);
  std::string kind = descr.substr(hasOrder ? 1 : 0);
  for (const TypeRow &row : types)
    if (kind == row.kind + std::to_string(row.width))
      return row;
  fail("'", name, "' has elements of type '", descr,
       "'; convert it to a float, integer or bool type");
}

/// Rewrites column-major data in row-major order.
static Tensor fromFortran(const Tensor &source) {
  Tensor result(source.dtype(), source.shape());
  const std::vector<int64_t> &shape = source.shape();
  int64_t width = dataTypeSize(source.dtype());
  std::vector<int64_t> position(shape.size());
  for (int64_t i = 0; i < source.size(); ++i) {
    int64_t from = 0;
    for (size_t dim = shape.size(); dim-- > 0;)
      from = from * shape[dim] + position[dim];
    std::memcpy(result.data() + i * width, source.data() + from * width, width);
    for (size_t dim = shape.size(); dim-- > 0;) {
      if (++position[dim] < shape[dim])
        break;
      position[dim] = 0;
    }
  }
  return result;
}

Tensor attn::rt::parseNpy(std::string_view bytes, const std::string &name) {
  static constexpr std::string_view magic("\x93NUMPY", 6);
  if (bytes.substr(0, 6) != magic)
    fail("'", name, "' is not an .npy file");
  if (bytes.size() < 12)
    fail("'", name, "' ends inside of its .npy header");
  int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3)
    fail("'", name, "' has .npy format ", version,
         "; formats 1 to 3 can be read");
  size_t lengthBytes = version == 1 ? 2 : 4;
  uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, lengthBytes);
  if (length > bytes.size() - 8 - lengthBytes)
    fail("'", name, "' ends inside of its .npy header");
  Header header =
      HeaderParser(bytes.substr(8 + lengthBytes, length), name).parse();
  const TypeRow &type = findType(header.descr, name);
  std::string_view data = bytes.substr(8 + lengthBytes + length);

  int32_t rank = static_cast<int32_t>(header.shape->size());
  std::string shape = shapeText(header.shape->data(), rank);
  if (rank > ATTN_RT_MAX_RANK)
    fail("'", name, "' has rank ", rank, "; the limit is ", ATTN_RT_MAX_RANK);
  std::optional<int64_t> count =
      numElements(header.shape->data(), rank, type.width);
  if (!count)
    fail("'", name, "' has the impossible shape ", shape);
  int64_t wanted = *count * type.width;
  if (static_cast<int64_t>(data.size()) != wanted)
    fail("'", name, "' holds ", data.size(), " bytes of data but its shape ",
         shape, " and type ", header.descr, " need ", wanted);
  Tensor tensor(type.dtype, *header.shape);
  if (wanted)
    std::memcpy(tensor.data(), data.data(), wanted);
  if (header.descr[0] == '>')
    for (int64_t i = 0; i < *count; ++i)
      std::reverse(tensor.data() + i * type.width,
                   tensor.data() + (i + 1) * type.width);
  return *header.isFortran && rank > 1 ? fromFortran(tensor) : tensor;
}

std::string attn::rt::formatNpy(const Tensor &tensor) {
  std::string header = "{'descr': '";
  for (const TypeRow &row : types)
    if (row.dtype == tensor.dtype())
      header += (row.width == 1 ? '|' : '<') + std::string(1, row.kind) +
                std::to_string(row.width);
  header += "', 'fortran_order': False, 'shape': (";
  for (int64_t size : tensor.shape())
    header += std::to_string(size) + ", ";
  // Python writes a tuple of one as "(3,)" and longer ones without the comma.
  if (tensor.shape().size() > 1)
    header.resize(header.size() - 2);
  else if (tensor.shape().size() == 1)
    header.resize(header.size() - 1);
  header += "), }";
  // Data starts at a multiple of 64.
  size_t prefix = 10;
  while ((prefix + header.size() + 1) % 64)
    header += ' ';
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(tensor.data(), tensor.bytes());
  return bytes;
}

Tensor attn::rt::readNpy(const std::string &path) {
  return parseNpy(readFile(path), path);
}

void attn::rt::writeNpy(const std::string &path, const Tensor &tensor) {
  writeFile(path, formatNpy(tensor));
}
