//===- NodeImporter.cpp - Inputs and attributes of a node -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "NodeImporter.h"
#include "GraphImporter.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;

void NodeImporter::setOutput(size_t i, TensorValue value) {
  if (hasOutput(i))
    graph.bind(node.outputs[i], std::move(value));
}

const NodeAttr *NodeImporter::attribute(StringRef name) const {
  const NodeAttr *found = node.find(name);
  return found ? graph.resolve(*found) : nullptr;
}

int64_t NodeImporter::intAttr(StringRef name, int64_t otherwise) const {
  const NodeAttr *found = attribute(name);
  return found ? found->i : otherwise;
}

double NodeImporter::floatAttr(StringRef name, double otherwise) const {
  const NodeAttr *found = attribute(name);
  return found ? static_cast<double>(found->f) : otherwise;
}

std::string NodeImporter::stringAttr(StringRef name,
                                     StringRef otherwise) const {
  const NodeAttr *found = attribute(name);
  return found ? found->s.str() : otherwise.str();
}

std::optional<SmallVector<int64_t>>
NodeImporter::intsAttr(StringRef name) const {
  const NodeAttr *found = attribute(name);
  if (!found)
    return std::nullopt;
  return SmallVector<int64_t>(found->ints.begin(), found->ints.end());
}

LogicalResult NodeImporter::require(size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (!hasInput(i))
      return invalid("input " + Twine(i) + " is missing");
  return success();
}

LogicalResult NodeImporter::requireElements(size_t i, int64_t dim,
                                            ArrayRef<Dim> places) {
  const Dim &size = input(i).shape[dim];
  Dim count(1);
  for (const Dim &place : places)
    count = count * place;
  std::string problem =
      ("dimension " + Twine(dim) + " of its input '" + node.inputs[i] +
       "' has no elements, but some are used")
          .str();
  if (size.is(0) && emit.isAtLeast(count, Dim(1)))
    return invalid(problem);
  emit.requireElements(size, count, problem);
  return success();
}

FailureOr<int64_t> NodeImporter::axis(int64_t value, int64_t rank) {
  int64_t axis = value < 0 ? value + rank : value;
  if (axis >= 0 && axis < rank)
    return axis;
  (void)invalid("axis " + Twine(value) + " is outside of rank " + Twine(rank));
  return failure();
}

FailureOr<SmallVector<int64_t>> NodeImporter::axes(ArrayRef<int64_t> values,
                                                   int64_t rank) {
  SmallVector<int64_t> result;
  for (int64_t value : values) {
    FailureOr<int64_t> one = axis(value, rank);
    if (failed(one))
      return failure();
    if (llvm::is_contained(result, *one)) {
      (void)invalid("axis " + Twine(value) + " is given twice");
      return failure();
    }
    result.push_back(*one);
  }
  llvm::sort(result);
  return result;
}

FailureOr<std::optional<SmallVector<int64_t>>>
NodeImporter::intsFrom(size_t i, StringRef name) {
  if (!hasInput(i))
    return intsAttr(name);
  std::optional<SmallVector<int64_t>> ints = emit.constantInts(input(i));
  if (!ints) {
    (void)unsupported("input " + Twine(i) + " (" + name +
                      ") is not known at compile time");
    return failure();
  }
  return ints;
}

LogicalResult NodeImporter::unsupported(const Twine &what) {
  graph.problem(graph.describe(node, opsetVersion) +
                " is not supported here: " + what);
  return failure();
}

LogicalResult NodeImporter::invalid(const Twine &what) {
  graph.problem(graph.describe(node, opsetVersion) + " is invalid: " + what);
  return failure();
}

FailureOr<TensorValue> NodeImporter::constant(const TensorData &data) {
  std::string error;
  StringRef name = node.outputs.empty() ? node.name : node.outputs.front();
  FailureOr<TensorValue> value = graph.constant(data, name, error);
  if (failed(value))
    return unsupported(error);
  return value;
}
