//===- IOTest.cpp - Tensor files, comparisons and generated tensors -------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Error.h"
#include "IO/Compare.h"
#include "IO/File.h"
#include "IO/Generate.h"
#include "IO/Npy.h"
#include "IO/TensorProto.h"
#include "gtest/gtest.h"
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <random>

using namespace attn::rt;

namespace {

std::string messageOf(const std::function<void()> &body) {
  try {
    body();
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

#define EXPECT_FAILS(part, body)                                               \
  EXPECT_NE(messageOf([&] { body; }).find(part), std::string::npos)            \
      << messageOf([&] { body; })

std::string npy(const std::string &header, const std::string &data,
                int version = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += static_cast<char>(version);
  bytes += '\0';
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  if (version > 1)
    bytes += std::string(2, '\0');
  return bytes + header + data;
}

Tensor sequence(int32_t dtype, std::vector<int64_t> shape) {
  Tensor tensor(dtype, std::move(shape));
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.set(i, static_cast<double>(i));
  return tensor;
}

TEST(Npy, RoundTripsEveryType) {
  for (int32_t dtype : {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16})
    for (const std::vector<int64_t> &shape :
         {std::vector<int64_t>{}, {3}, {2, 3}, {0, 3}, {1, 2, 3, 4}}) {
      Tensor tensor = sequence(dtype, shape);
      Tensor back = parseNpy(formatNpy(tensor), "t");
      Comparison result = compare("t", back, tensor, {0, 0});
      EXPECT_FALSE(result.mismatch) << *result.mismatch;
    }
}

TEST(Npy, DataStartsAligned) {
  std::string bytes = formatNpy(sequence(1, {3}));
  EXPECT_EQ((bytes.size() - 12) % 64, 0u);
  EXPECT_NE(bytes.find("'shape': (3,), }"), std::string::npos);
}

TEST(Npy, ReadsOtherForms) {
  Tensor fortran =
      parseNpy(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }",
                   std::string("\0\3\1\4\2\5", 6)),
               "t");
  EXPECT_FALSE(compare("t", fortran, sequence(2, {2, 3}), {0, 0}).mismatch);
  Tensor big = parseNpy(
      npy("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\">i2\"}\n",
          std::string("\0\0\0\1", 4), 2),
      "t");
  EXPECT_FALSE(compare("t", big, sequence(5, {2}), {0, 0}).mismatch);
}

TEST(Npy, MalformedFiles) {
  std::string good = formatNpy(sequence(1, {2, 3}));
  // No prefix of a good file is a good file, and none crashes.
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(messageOf([&] { parseNpy(good.substr(0, size), "t"); }), "");
  auto fails = [](const char *header, const char *part) {
    EXPECT_FAILS(part, parseNpy(npy(header, ""), "t"));
  };
  EXPECT_FAILS("is not an .npy file", parseNpy("hello, world", "t"));
  EXPECT_FAILS("format 9", parseNpy(npy("{}", "", 9), "t"));
  fails("{}", "it needs 'descr'");
  fails("{'descr': '<f4'", "expected ',' or '}'");
  fails("{'descr", "a string does not end");
  fails("{'descr': [('a', '<f4')]}", "holds records");
  fails("{'extra': 1}", "unknown key 'extra'");
  fails("{'fortran_order': Maybe}", "expected True or False");
  fails("{'shape': (-1,)}", "expected a size");
  fails("{'shape': (99999999999999999999,)}", "too large");
  fails("{'descr': '<U5', 'fortran_order': False, 'shape': ()}",
        "elements of type '<U5'");
  fails("{'descr': '', 'fortran_order': False, 'shape': ()}", "needs");
  fails("{'descr': '<f4', 'fortran_order': False, 'shape': "
        "(1,1,1,1,1,1,1,1,1)}",
        "rank 9");
  fails("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, "
        "4294967296)}",
        "impossible shape");
  fails("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
        "holds 0 bytes of data");
  EXPECT_FAILS("holds 25 bytes of data", parseNpy(good + "x", "t"));
}

TEST(Npz, RoundTripAndFailures) {
  char name[] = "/tmp/attn-io-XXXXXX";
  std::filesystem::path folder = mkdtemp(name);
  std::string path = folder / "a.npz";
  writeNpz(path, {{"x", sequence(1, {2})}, {"y/z", sequence(7, {})}});
  NamedTensors back = readNpz(path);
  ASSERT_EQ(back.size(), 2u);
  ASSERT_TRUE(findTensor(back, "y/z"));
  EXPECT_EQ(findTensor(back, "x")->at(1), 1);
  EXPECT_EQ(findTensor(back, "nothing"), nullptr);
  std::string bytes = readFile(path);
  for (size_t size : {size_t(0), size_t(10), bytes.size() / 2}) {
    writeFile(path, bytes.substr(0, size));
    EXPECT_FAILS(path, readNpz(path));
  }
  EXPECT_FAILS("it is a folder", readNpz(folder));
  EXPECT_FAILS("No such file", readNpz(folder / "b.npz"));
  EXPECT_FAILS("does not exist", writeNpz(folder / "b/c.npz", {}));
  EXPECT_FAILS("it is a folder", writeNpz(folder, {}));
  std::filesystem::remove_all(folder);
}

TEST(TensorProto, TypedAndRawData) {
  // dims 2 (unpacked), data_type int64, int64_data 5 -1 (packed), name "n".
  std::string ints("\x08\x02\x10\x07\x3a\x0b\x05"
                   "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                   "\x42\x01n",
                   20);
  ProtoTensor proto = parseTensorProto(ints, "t");
  EXPECT_EQ(proto.name, "n");
  EXPECT_EQ(proto.tensor.intAt(0), 5);
  EXPECT_EQ(proto.tensor.intAt(1), -1);
  for (size_t size = 1; size < ints.size(); ++size)
    messageOf([&] { parseTensorProto(ints.substr(0, size), "t"); });
  // float16 1.0 in int32_data; a rank 0 float in raw_data.
  Tensor half =
      parseTensorProto(std::string("\x10\x0a\x28\x80\x78", 5), "t").tensor;
  EXPECT_EQ(half.at(0), 1);
  Tensor raw =
      parseTensorProto(std::string("\x10\x01\x4a\x04\0\0\x80\x3f", 8), "t")
          .tensor;
  EXPECT_EQ(raw.at(0), 1);
}

TEST(TensorProto, Refused) {
  auto parse = [](const std::string &bytes) {
    return [bytes] { parseTensorProto(bytes, "t"); };
  };
  EXPECT_FAILS("no ONNX type", parse("")());
  EXPECT_FAILS("holds 0 elements", parse(std::string("\x10\x01", 2))());
  EXPECT_FAILS("holds 1 bytes", parse(std::string("\x10\x01\x4a\x01x", 5))());
  EXPECT_FAILS("truncated", parse(std::string("\x10\x01\x4a\x7fx", 5))());
  EXPECT_FAILS("wire type 7", parse(std::string("\x0f", 1))());
  EXPECT_FAILS("too long", parse(std::string(20, '\xff'))());
  EXPECT_THROW(parse(std::string("\x10\x08", 2))(), UnsupportedTensor);
  EXPECT_THROW(parse(std::string("\x10\x16", 2))(), UnsupportedTensor);
  EXPECT_THROW(parse(std::string("\x10\x01\x70\x01", 4))(), UnsupportedTensor);
}

/// Calls `parse` on thousands of damaged copies of `good`; an error is fine.
void damage(const std::string &good,
            const std::function<void(const std::string &)> &parse) {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
      size_t at = random() % bytes.size();
      switch (random() % 4) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] ^= static_cast<char>(1 << (random() % 8));
        break;
      case 2:
        bytes.insert(at, 1, static_cast<char>(random()));
        break;
      default:
        bytes.resize(std::max<size_t>(at, 1));
      }
    }
    messageOf([&] { parse(bytes); });
  }
}

TEST(Damaged, FilesNeverCrash) {
  damage(formatNpy(sequence(1, {2, 3})),
         [](const std::string &bytes) { parseNpy(bytes, "t"); });
  auto parseProto = [](const std::string &bytes) {
    parseTensorProto(bytes, "t");
  };
  damage(std::string("\x08\x02\x10\x07\x3a\x0b\x05"
                     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                     "\x42\x01n",
                     20),
         parseProto);
  damage(std::string("\x0a\x02\x02\x01\x10\x01\x4a\x08"
                     "\0\0\x80\x3f\0\0\x80\x3f",
                     16),
         parseProto);
}

TEST(Tensor, RoundsHalfAndBfloat16) {
  struct Case {
    int32_t dtype;
    double value, stored;
  };
  double infinity = std::numeric_limits<double>::infinity();
  for (Case c : std::vector<Case>{{10, 1.0 / 3, 0.333251953125},
                                  {10, 65519, 65504},
                                  {10, 65520, infinity},
                                  {10, -1e9, -infinity},
                                  {10, 0x1p-24, 0x1p-24},
                                  {10, 0x1p-26, 0},
                                  {10, 0x1.ffep-15, 0x1p-14},
                                  {16, 1.0 / 3, 0.333984375},
                                  {16, 3.39e38, 0x1.fep127},
                                  {16, 3.4e38, infinity},
                                  {16, -infinity, -infinity}}) {
    Tensor tensor(c.dtype, {1});
    tensor.set(0, c.value);
    EXPECT_EQ(tensor.at(0), c.stored) << c.value;
  }
  Tensor tensor(ATTN_RT_FLOAT16, {1});
  tensor.set(0, std::nan(""));
  EXPECT_TRUE(std::isnan(tensor.at(0)));
}

TEST(Compare, NamesPositionAndNumbers) {
  Tensor expected = sequence(1, {2, 3}), actual = sequence(1, {2, 3});
  actual.set(4, 4.5);
  EXPECT_EQ(*compare("y", actual, expected, {0.01, 0.1}).mismatch,
            "output 'y' differs at [1, 1]: got 4.5, expected 4; 1 of 6 "
            "elements are outside of rtol 0.01 and atol 0.1, largest "
            "difference 0.5");
  EXPECT_FALSE(compare("y", actual, expected, {0.125, 0}).mismatch);
  EXPECT_EQ(compare("y", actual, expected, {1, 0}).largestDifference, 0.5);
  EXPECT_EQ(*compare("y", sequence(1, {6}), expected, {1, 1}).mismatch,
            "output 'y' is float32 [6] but expected is float32 [2, 3]");
  EXPECT_TRUE(compare("y", sequence(11, {2, 3}), expected, {1, 1}).mismatch);
}

TEST(Compare, SpecialValues) {
  double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  auto differs = [](double a, double e) {
    Tensor actual(1, {1}), expected(1, {1});
    actual.set(0, a);
    expected.set(0, e);
    return compare("y", actual, expected, {1e30, 1e30}).mismatch.has_value();
  };
  EXPECT_FALSE(differs(nan, nan));
  EXPECT_FALSE(differs(infinity, infinity));
  EXPECT_TRUE(differs(infinity, -infinity));
  EXPECT_TRUE(differs(nan, 0));
  EXPECT_TRUE(differs(0, nan));
  EXPECT_TRUE(differs(0, infinity));
  Tensor a(7, {1}), b(7, {1});
  a.setInt(0, (int64_t(1) << 60) + 1);
  b.setInt(0, (int64_t(1) << 60));
  EXPECT_FALSE(compare("y", a, a, {0, 0}).mismatch);
  EXPECT_EQ(compare("y", a, b, {0, 0}).mismatch.has_value(), false)
      << "the difference is below the precision of the comparison";
}

TEST(Generate, FormsAndFailures) {
  Tensor ids = *generateTensor("2x128xi64:random(5,8)", 1);
  EXPECT_EQ(ids.text(), "int64 [2, 128]");
  std::vector<int> seen(10);
  for (int64_t i = 0; i < ids.size(); ++i)
    ++seen.at(ids.intAt(i));
  EXPECT_EQ(seen[5] + seen[6] + seen[7], 256);
  EXPECT_TRUE(seen[5] && seen[6] && seen[7]);
  EXPECT_EQ(generateTensor("3xf32:iota", 0)->at(2), 2);
  EXPECT_EQ(generateTensor("i64:full(7)", 0)->text(), "int64 []");
  EXPECT_EQ(generateTensor("2xbool:ones", 0)->intAt(1), 1);
  EXPECT_EQ(generateTensor("0x3xfloat16:zeros", 0)->size(), 0);
  Tensor normal = *generateTensor("10000xf32:normal(3,2)", 0);
  double sum = 0;
  for (int64_t i = 0; i < normal.size(); ++i)
    sum += normal.at(i);
  EXPECT_NEAR(sum / 10000, 3, 0.1); // five deviations of the mean
  EXPECT_FALSE(generateTensor("x.npy", 0));
  EXPECT_FALSE(generateTensor("dir/2x3.npy", 0));
  EXPECT_FALSE(generateTensor("c:file.npy", 0));
  EXPECT_FAILS("unknown element type 'q7'", generateTensor("2xq7:ones", 0));
  EXPECT_FAILS("unknown filling 'two'", generateTensor("2xf32:two", 0));
  EXPECT_FAILS("expected random(LOW,HIGH)", generateTensor("2xi64:random", 0));
  EXPECT_FAILS("empty range", generateTensor("2xi64:random(3,3)", 0));
  EXPECT_FAILS("is not a number", generateTensor("2xi64:random(a,3)", 0));
  EXPECT_FAILS("lacks a ')'", generateTensor("2xi64:random(1,3", 0));
  EXPECT_FAILS("has 1 arguments; expected none",
               generateTensor("2xi64:ones(1)", 0));
  EXPECT_FAILS("too large", generateTensor("99999999999999999999xf32:ones", 0));
}

TEST(File, WritesAllOrNothing) {
  char name[] = "/tmp/attn-io-XXXXXX";
  std::filesystem::path folder = mkdtemp(name);
  writeFile(folder / "a", "one");
  writeFile(folder / "a", "two");
  EXPECT_EQ(readFile(folder / "a"), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  EXPECT_FAILS("it is a folder", writeFile(folder, "x"));
  EXPECT_FAILS("does not exist", writeFile(folder / "b/c", "x"));
  EXPECT_FAILS("it is a folder", readFile(folder));
  std::filesystem::remove_all(folder);
}

} // namespace
