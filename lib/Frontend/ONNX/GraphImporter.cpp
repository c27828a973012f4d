//===- GraphImporter.cpp - Names, constants, functions, subgraphs ---------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GraphImporter.h"
#include "Triangle.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;

void GraphImporter::problem(const Twine &text) {
  // A damaged file could make any number of them.
  constexpr size_t maxProblems = 1000;
  // Names from the file must not break the message's line.
  std::string line = llvm::json::fixUTF8(text.str());
  for (char &c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      c = '?';
  if (problems.size() < maxProblems && !llvm::is_contained(problems, line))
    problems.push_back(std::move(line));
}

std::string GraphImporter::describe(const Node &node, int64_t version) const {
  StringRef name = node.name;
  if (name.empty() && !node.outputs.empty())
    name = node.outputs.front();
  return ("node '" + name + "': operator " + node.opType + ", domain " +
          (node.domain.empty() ? StringRef("ai.onnx") : node.domain) +
          ", version " + Twine(version))
      .str();
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

TensorValue *GraphImporter::lookup(StringRef name) {
  for (Scope *at = scope; at; at = at->parent)
    if (auto it = at->values.find(name); it != at->values.end())
      return &it->second;
  return nullptr;
}

void GraphImporter::bind(StringRef name, TensorValue value) {
  scope->values[name] = std::move(value);
}

void GraphImporter::materializeVisible() {
  for (Scope *at = scope; at; at = at->parent)
    for (auto &entry : at->values)
      if (entry.second.elements && !entry.second.value)
        emit.materialize(entry.second);
}

const NodeAttr *GraphImporter::resolve(const NodeAttr &attribute) const {
  if (attribute.refName.empty())
    return &attribute;
  return frame ? frame->attributes.lookup(attribute.refName) : nullptr;
}

std::optional<int64_t> GraphImporter::opsetOf(StringRef domain) const {
  const auto &opsets = frame ? *frame->opsets : model.opsets;
  auto it = opsets.find(domain.str());
  if (it != opsets.end())
    return it->second;
  // A function may leave out what the model declares.
  auto outer = model.opsets.find(domain.str());
  if (outer != model.opsets.end())
    return outer->second;
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

static DenseElementsAttr denseFromRaw(RankedTensorType type, StringRef raw) {
  if (type.getElementType().isInteger(1)) {
    SmallVector<bool> values;
    for (char c : raw)
      values.push_back(c != 0);
    return DenseElementsAttr::get(type, values);
  }
  return DenseElementsAttr::getFromRawBuffer(
      type, ArrayRef<char>(raw.data(), raw.size()));
}

/// Elements of the typed fields. Half types keep their bits in integers.
static DenseElementsAttr denseFromFields(RankedTensorType type,
                                         const TensorData &data) {
  Type element = type.getElementType();
  if (auto floatType = dyn_cast<FloatType>(element)) {
    SmallVector<APFloat> values;
    bool ignored;
    for (double number : data.doubles) {
      values.emplace_back(number);
      values.back().convert(floatType.getFloatSemantics(),
                            APFloat::rmNearestTiesToEven, &ignored);
    }
    for (int64_t bits : data.ints)
      values.emplace_back(
          floatType.getFloatSemantics(),
          APInt(64, static_cast<uint64_t>(bits)).trunc(floatType.getWidth()));
    return DenseElementsAttr::get(type, values);
  }
  SmallVector<APInt> values;
  bool isBool = element.isInteger(1);
  for (int64_t number : data.ints)
    values.push_back(
        APInt(64, isBool ? number != 0 : static_cast<uint64_t>(number))
            .sextOrTrunc(element.getIntOrFloatBitWidth()));
  return DenseElementsAttr::get(type, values);
}

FailureOr<TensorValue> GraphImporter::constant(const TensorData &data,
                                               StringRef name,
                                               std::string &error) {
  if (emit.elementType(data.dataType) == Type()) {
    error = "element type " + dataTypeName(data.dataType) + " is not supported";
    return failure();
  }
  TensorData resolved = data;
  if (data.isExternal && !resolveExternal(model, resolved, error))
    return failure();
  std::optional<int64_t> count = resolved.numElements();
  if (!count) {
    error = "its dimensions are negative or too large";
    return failure();
  }
  int64_t bytes = *count * dataTypeBytes(data.dataType);
  int64_t held = static_cast<int64_t>(
      resolved.hasRaw ? resolved.raw.size()
                      : resolved.doubles.size() + resolved.ints.size());
  int64_t wanted = resolved.hasRaw ? bytes : *count;
  if (held != wanted) {
    error = ("it holds " + Twine(held) +
             (resolved.hasRaw ? " bytes" : " elements") +
             ", but its type needs " + Twine(wanted))
                .str();
    return failure();
  }
  if (!resolved.hasRaw && !resolved.doubles.empty() &&
      !(data.dataType == Float32 || data.dataType == Float64)) {
    error = "its elements stand in a field of another type";
    return failure();
  }
  Shape shape;
  for (int64_t dim : resolved.dims)
    shape.push_back(dim);
  auto type = emit.tensorType(shape, data.dataType);
  if (!resolved.hasRaw)
    return emit.fromConstant(denseFromFields(type, resolved), data.dataType);
  if (bytes <= options.maxInlineBytes)
    return emit.fromConstant(denseFromRaw(type, resolved.raw), data.dataType);

  if (Value triangle = emitTriangle(emit, type, resolved.raw))
    return emit.fromValue(triangle, data.dataType, shape);

  int64_t offset = resolved.offset;
  if (!data.isExternal)
    offset = resolved.raw.data() - model.buffers.front()->getBufferStart();
  std::string file = data.isExternal ? resolved.file : model.fileName;
  std::string unique = name.str();
  if (unsigned n = weightNames[name]++)
    unique += "." + std::to_string(n);
  Value value = emit.atEntry([&](OpBuilder &b) -> Value {
    return rt::WeightOp::create(b, NameLoc::get(b.getStringAttr(unique)), type,
                                b.getStringAttr(unique), b.getStringAttr(file),
                                b.getI64IntegerAttr(offset));
  });
  return emit.fromValue(value, data.dataType, shape);
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

void GraphImporter::poisonOutputs(const Node &node) {
  TensorValue poison;
  poison.isPoison = true;
  for (StringRef output : node.outputs)
    if (!output.empty() && !scope->values.count(output))
      bind(output, poison);
}

const Function *GraphImporter::findFunction(const Node &node) const {
  for (const Function &function : model.functions)
    if (function.name == node.opType && function.domain == node.domain &&
        function.overload == node.overload)
      return &function;
  return nullptr;
}

void GraphImporter::reportUnknown(const Node &node) {
  for (const NodeAttr &attribute : node.attributes)
    if (attribute.graph)
      reportUnknown(*attribute.graph);
  if (findFunction(node))
    return;
  std::optional<int64_t> version = opsetOf(node.domain);
  if (!version)
    problem(describe(node, 0) +
            " is not supported: the model declares no version of this domain");
  else if (!OpRegistry::get().find(node.domain, node.opType, *version))
    problem(describe(node, *version) + " is not supported");
}

void GraphImporter::reportUnknown(const Graph &graph) {
  for (const Node &node : graph.nodes)
    reportUnknown(node);
}

void GraphImporter::importNode(const Node &node) {
  StringRef name = node.name.empty() ? node.opType : node.name;
  emit.setLoc(NameLoc::get(emit.getBuilder().getStringAttr(name)));
  for (StringRef output : node.outputs)
    if (!output.empty() && scope->values.count(output))
      problem("value '" + output + "' is produced more than once");

  if (const Function *function = findFunction(node))
    return importCall(node, *function);
  std::optional<int64_t> version = opsetOf(node.domain);
  const ImportFn *import =
      version ? OpRegistry::get().find(node.domain, node.opType, *version)
              : nullptr;
  NodeImporter importer(*this, emit, node, version.value_or(0));
  bool isPoisoned = !import;
  for (StringRef input : node.inputs) {
    TensorValue *value = nullptr;
    if (!input.empty()) {
      value = lookup(input);
      if (!value) {
        problem(describe(node, version.value_or(0)) + " is invalid: input '" +
                input + "' is produced by no earlier node");
        isPoisoned = true;
      } else if (value->isPoison) {
        isPoisoned = true;
      } else if (value->dataType == Undefined) {
        value = nullptr; // An absent input of a function.
      }
    }
    importer.inputs.push_back(value);
  }
  if (isPoisoned)
    reportUnknown(node);
  else
    (void)(*import)(importer);
  // An output that was not set is reported when it is used.
  if (isPoisoned || !problems.empty()) {
    poisonOutputs(node);
    return;
  }
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (importer.hasOutput(i) && !scope->values.count(node.outputs[i])) {
      (void)importer.unsupported("output " + Twine(i) + " is not available");
      poisonOutputs(node);
    }
}

void GraphImporter::importCall(const Node &node, const Function &function) {
  constexpr int maxDepth = 32;
  Frame inner;
  inner.opsets = &function.opsets;
  inner.depth = frame ? frame->depth + 1 : 1;
  if (inner.depth > maxDepth) {
    problem("function '" + function.name + "' calls itself");
    return poisonOutputs(node);
  }
  for (const NodeAttr &attribute : function.attributeDefaults)
    inner.attributes[attribute.name] = &attribute;
  for (const NodeAttr &attribute : node.attributes)
    if (const NodeAttr *value = resolve(attribute))
      inner.attributes[attribute.name] = value;

  Scope body;
  for (auto [i, name] : llvm::enumerate(function.inputs)) {
    StringRef actual = i < node.inputs.size() ? node.inputs[i] : StringRef();
    TensorValue *value = actual.empty() ? nullptr : lookup(actual);
    if (!actual.empty() && !value)
      problem("function call '" + node.name + "' is invalid: input '" + actual +
              "' is produced by no earlier node");
    body.values[name] = value ? *value : TensorValue();
  }
  Scope *savedScope = scope;
  Frame *savedFrame = frame;
  scope = &body;
  frame = &inner;
  for (const Node &inside : function.nodes)
    importNode(inside);
  TensorValues results;
  for (StringRef output : function.outputs) {
    TensorValue *value = lookup(output);
    results.push_back(value ? *value : TensorValue());
    if (!value)
      results.back().isPoison = true;
  }
  scope = savedScope;
  frame = savedFrame;
  for (auto [i, output] : llvm::enumerate(node.outputs))
    if (!output.empty() && i < results.size())
      bind(output, results[i]);
  poisonOutputs(node);
}

void GraphImporter::importBody(const Graph &graph, Scope &inner) {
  scope = &inner;
  if (graph.hasSparseInitializers)
    problem("graph '" + graph.name +
            "': sparse initializers are not supported");
  for (const auto &initializer : graph.initializers) {
    std::string error;
    FailureOr<TensorValue> value =
        constant(*initializer, initializer->name, error);
    if (failed(value)) {
      problem("initializer '" + initializer->name + "': " + error);
      value = TensorValue();
      value->isPoison = true;
    }
    bind(initializer->name, *value);
  }
  for (const Node &node : graph.nodes)
    importNode(node);
}

TensorValues GraphImporter::collectOutputs(const Graph &graph, Scope &inner) {
  TensorValues results;
  for (const ValueInfo &output : graph.outputs) {
    TensorValue *value = lookup(output.name);
    if (!value)
      problem("graph output '" + output.name + "' is produced by no node");
    results.push_back(value ? *value : TensorValue());
    if (!value || value->dataType == Undefined)
      results.back().isPoison = true;
  }
  return results;
}

TensorValues GraphImporter::importNested(const Graph &graph) {
  Scope *saved = scope;
  Scope inner;
  inner.parent = saved;
  importBody(graph, inner);
  TensorValues results = collectOutputs(graph, inner);
  scope = saved;
  return results;
}
