//===- ModelReaderTest.cpp - The model reader against protobuf ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random models are written with the generated ONNX classes, in the packed and
// the plain encoding, and read by our reader, which must find the same.
//
//===----------------------------------------------------------------------===//
#include "Dim.h"
#include "Model.h"
#include "gtest/gtest.h"
#include <onnx/onnx_pb.h>
#include <random>

namespace reader = mlir::attn::frontend::onnx;

namespace {
class Writer {
public:
  explicit Writer(unsigned seed) : random(seed) {}

  void fill(onnx::ModelProto &model) {
    model.set_ir_version(number());
    model.set_producer_name(word());
    for (int i = count(); i >= 0; --i) {
      auto *opset = model.add_opset_import();
      opset->set_domain("domain" + std::to_string(i));
      opset->set_version(number());
    }
    fill(*model.mutable_graph(), 0);
    for (int i = count(); i > 0; --i) {
      auto *function = model.add_functions();
      function->set_name(word());
      function->set_domain(word());
      function->add_input(word());
      function->add_output(word());
      function->add_attribute(word());
      fill(*function->add_node(), 1);
    }
  }

private:
  int64_t number() {
    // All sizes of a varint, negative ones too.
    auto bits = static_cast<int64_t>(random());
    return bits >> (random() % 64);
  }
  int count() { return static_cast<int>(random() % 4); }
  std::string word() {
    std::string text(random() % 5, 'a');
    for (char &c : text)
      c = static_cast<char>('a' + random() % 26);
    return text;
  }

  void fill(onnx::TensorProto &tensor) {
    tensor.set_name(word());
    tensor.set_data_type(static_cast<int32_t>(random() % 30));
    for (int i = count(); i > 0; --i)
      tensor.add_dims(number());
    for (int i = count(); i > 0; --i) {
      tensor.add_float_data(0.5F);
      tensor.add_int32_data(static_cast<int32_t>(number()));
      tensor.add_int64_data(number());
    }
    if (random() % 2)
      tensor.set_raw_data(word() + std::string(1, '\0') + word());
    if (random() % 4 == 0) {
      tensor.set_data_location(onnx::TensorProto::EXTERNAL);
      auto *entry = tensor.add_external_data();
      entry->set_key(word());
      entry->set_value(word());
    }
  }

  void fill(onnx::NodeProto &node, int depth) {
    node.set_name(word());
    node.set_op_type(word());
    node.set_domain(word());
    for (int i = count(); i > 0; --i) {
      node.add_input(word());
      node.add_output(word());
    }
    for (int i = count(); i > 0; --i) {
      auto *attribute = node.add_attribute();
      attribute->set_name(word());
      attribute->set_f(1.25F);
      attribute->set_i(number());
      attribute->set_s(word());
      attribute->add_ints(number());
      attribute->add_ints(number());
      attribute->add_floats(-3.0F);
      attribute->add_strings(word());
      if (random() % 3 == 0)
        fill(*attribute->mutable_t());
      if (random() % 3 == 0 && depth < 3)
        fill(*attribute->mutable_g(), depth + 1);
    }
  }

  void fill(onnx::ValueInfoProto &value) {
    value.set_name(word());
    auto *type = value.mutable_type()->mutable_tensor_type();
    type->set_elem_type(static_cast<int32_t>(random() % 20));
    for (int i = count(); i > 0; --i) {
      auto *dim = type->mutable_shape()->add_dim();
      if (random() % 2)
        dim->set_dim_value(static_cast<int64_t>(random() % 1000));
      else
        dim->set_dim_param(word());
    }
  }

  void fill(onnx::GraphProto &graph, int depth) {
    graph.set_name(word());
    for (int i = count(); i > 0; --i)
      fill(*graph.add_node(), depth);
    for (int i = count(); i > 0; --i)
      fill(*graph.add_initializer());
    for (int i = count(); i > 0; --i) {
      fill(*graph.add_input());
      fill(*graph.add_output());
    }
  }

  std::mt19937_64 random;
};

void compare(const reader::TensorData &got, const onnx::TensorProto &want) {
  EXPECT_EQ(got.name, want.name());
  EXPECT_EQ(got.dataType, want.data_type());
  ASSERT_EQ(static_cast<int>(got.dims.size()), want.dims_size());
  for (int i = 0; i < want.dims_size(); ++i)
    EXPECT_EQ(got.dims[static_cast<size_t>(i)], want.dims(i));
  EXPECT_EQ(got.hasRaw, want.has_raw_data());
  EXPECT_EQ(got.raw.str(), want.raw_data());
  EXPECT_EQ(got.doubles.size(), static_cast<size_t>(want.float_data_size()));
  ASSERT_EQ(got.ints.size(), static_cast<size_t>(want.int32_data_size() +
                                                 want.int64_data_size()));
  // The writer stores fields in the order of their numbers.
  for (int i = 0; i < want.int32_data_size(); ++i)
    EXPECT_EQ(got.ints[static_cast<size_t>(i)], want.int32_data(i));
  for (int i = 0; i < want.int64_data_size(); ++i)
    EXPECT_EQ(got.ints[static_cast<size_t>(want.int32_data_size() + i)],
              want.int64_data(i));
  EXPECT_EQ(got.isExternal,
            want.data_location() == onnx::TensorProto::EXTERNAL);
  EXPECT_EQ(got.external.size(),
            static_cast<size_t>(want.external_data_size()));
}

void compare(const reader::Graph &got, const onnx::GraphProto &want);

void compare(const reader::Node &got, const onnx::NodeProto &want) {
  EXPECT_EQ(got.name, want.name());
  EXPECT_EQ(got.opType, want.op_type());
  EXPECT_EQ(got.domain, want.domain());
  ASSERT_EQ(static_cast<int>(got.inputs.size()), want.input_size());
  for (int i = 0; i < want.input_size(); ++i)
    EXPECT_EQ(got.inputs[static_cast<size_t>(i)], want.input(i));
  ASSERT_EQ(static_cast<int>(got.attributes.size()), want.attribute_size());
  for (int i = 0; i < want.attribute_size(); ++i) {
    const reader::NodeAttr &a = got.attributes[static_cast<size_t>(i)];
    const onnx::AttributeProto &w = want.attribute(i);
    EXPECT_EQ(a.name, w.name());
    EXPECT_EQ(a.f, w.f());
    EXPECT_EQ(a.i, w.i());
    EXPECT_EQ(a.s, w.s());
    EXPECT_EQ(a.ints, std::vector<int64_t>(w.ints().begin(), w.ints().end()));
    EXPECT_EQ(a.floats,
              std::vector<float>(w.floats().begin(), w.floats().end()));
    ASSERT_EQ(a.strings.size(), 1U);
    EXPECT_EQ(a.strings[0], w.strings(0));
    ASSERT_EQ(a.tensor != nullptr, w.has_t());
    if (a.tensor)
      compare(*a.tensor, w.t());
    ASSERT_EQ(a.graph != nullptr, w.has_g());
    if (a.graph)
      compare(*a.graph, w.g());
  }
}

void compare(const reader::ValueInfo &got, const onnx::ValueInfoProto &want) {
  EXPECT_EQ(got.name, want.name());
  const auto &type = want.type().tensor_type();
  EXPECT_TRUE(got.isTensor);
  EXPECT_EQ(got.dataType, type.elem_type());
  EXPECT_EQ(got.hasShape, type.has_shape());
  ASSERT_EQ(static_cast<int>(got.dims.size()), type.shape().dim_size());
  for (int i = 0; i < type.shape().dim_size(); ++i) {
    const reader::DimInfo &dim = got.dims[static_cast<size_t>(i)];
    ASSERT_EQ(dim.value.has_value(), type.shape().dim(i).has_dim_value());
    if (dim.value)
      EXPECT_EQ(*dim.value, type.shape().dim(i).dim_value());
    else
      EXPECT_EQ(dim.param, type.shape().dim(i).dim_param());
  }
}

void compare(const reader::Graph &got, const onnx::GraphProto &want) {
  EXPECT_EQ(got.name, want.name());
  ASSERT_EQ(static_cast<int>(got.nodes.size()), want.node_size());
  for (int i = 0; i < want.node_size(); ++i)
    compare(got.nodes[static_cast<size_t>(i)], want.node(i));
  ASSERT_EQ(static_cast<int>(got.initializers.size()), want.initializer_size());
  for (int i = 0; i < want.initializer_size(); ++i)
    compare(*got.initializers[static_cast<size_t>(i)], want.initializer(i));
  ASSERT_EQ(static_cast<int>(got.inputs.size()), want.input_size());
  for (int i = 0; i < want.input_size(); ++i) {
    compare(got.inputs[static_cast<size_t>(i)], want.input(i));
    compare(got.outputs[static_cast<size_t>(i)], want.output(i));
  }
}

TEST(ModelReader, AgreesWithProtobuf) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    onnx::ModelProto want;
    Writer(seed).fill(want);
    std::string bytes = want.SerializeAsString(), error;
    reader::Model got;
    ASSERT_TRUE(reader::decodeModel(bytes, got, error)) << error;
    EXPECT_EQ(got.irVersion, want.ir_version());
    EXPECT_EQ(got.producer, want.producer_name());
    for (const auto &opset : want.opset_import())
      EXPECT_EQ(got.opsets[opset.domain()], opset.version());
    compare(got.graph, want.graph());
    ASSERT_EQ(static_cast<int>(got.functions.size()), want.functions_size());
    for (int i = 0; i < want.functions_size(); ++i) {
      const reader::Function &function = got.functions[static_cast<size_t>(i)];
      EXPECT_EQ(function.name, want.functions(i).name());
      EXPECT_EQ(function.domain, want.functions(i).domain());
      ASSERT_EQ(function.nodes.size(), 1U);
      compare(function.nodes[0], want.functions(i).node(0));
    }
  }
}

TEST(ModelReader, SurvivesDamage) {
  std::mt19937 random(1);
  onnx::ModelProto model;
  Writer(5).fill(model);
  std::string bytes = model.SerializeAsString();
  int refused = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::string damaged = bytes.substr(0, 1 + random() % bytes.size());
    damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
    reader::Model got;
    std::string error;
    bool accepted = reader::decodeModel(damaged, got, error);
    refused += !accepted;
    EXPECT_TRUE(accepted || !error.empty());
  }
  EXPECT_GT(refused, 1000);
}

TEST(Dim, ExactDivision) {
  using reader::Dim;
  Dim b = Dim::symbol(0), p = Dim::symbol(1), s = Dim::symbol(2);
  EXPECT_EQ((b * (p + s) * Dim(12)).dividedBy(p + s), b * Dim(12));
  EXPECT_EQ((b * s * Dim(384)).dividedBy(b * Dim(32)), s * Dim(12));
  EXPECT_EQ(((p + s) * (p - s)).dividedBy(p - s), p + s);
  EXPECT_EQ((b * Dim(3)).dividedBy(Dim(2)), std::nullopt);
  EXPECT_EQ((p + s).dividedBy(p), std::nullopt);
  EXPECT_EQ(b.dividedBy(Dim(0)), std::nullopt);
  EXPECT_EQ(p + s - p, s);
  EXPECT_TRUE((p - p).is(0));
  EXPECT_EQ(*Dim(7).constant(), 7);
}
} // namespace
