//===- NodeImporter.h - One node while it is imported -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an operator file sees of its node: inputs, attributes, outputs, and
// the ways to refuse.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_NODEIMPORTER_H
#define ATTN_LIB_FRONTEND_ONNX_NODEIMPORTER_H

#include "Emitter.h"
#include "Registry.h"

namespace mlir::attn::frontend::onnx {

class GraphImporter;

class NodeImporter {
public:
  NodeImporter(GraphImporter &graph, Emitter &emit, const Node &node,
               int64_t version)
      : emit(emit), graph(graph), node(node), opsetVersion(version) {}

  Emitter &emit;

  /// Version of the operator set of the node's domain.
  int64_t version() const { return opsetVersion; }
  StringRef opType() const { return node.opType; }

  size_t numInputs() const { return inputs.size(); }
  bool hasInput(size_t i) const { return i < inputs.size() && inputs[i]; }
  /// Only for inputs that `hasInput` or `require` has shown to be there.
  TensorValue &input(size_t i) const { return *inputs[i]; }
  size_t numOutputs() const { return node.outputs.size(); }
  bool hasOutput(size_t i) const {
    return i < node.outputs.size() && !node.outputs[i].empty();
  }
  void setOutput(size_t i, TensorValue value);
  LogicalResult result(TensorValue value) {
    setOutput(0, std::move(value));
    return success();
  }

  /// The attribute, or null; references of a function are resolved.
  const NodeAttr *attribute(StringRef name) const;
  int64_t intAttr(StringRef name, int64_t otherwise) const;
  double floatAttr(StringRef name, double otherwise) const;
  std::string stringAttr(StringRef name, StringRef otherwise) const;
  std::optional<SmallVector<int64_t>> intsAttr(StringRef name) const;

  /// Checks that the first `count` inputs are there.
  LogicalResult require(size_t count);
  /// Checks, at run time if need be, that dimension `dim` of input `i` has
  /// elements, unless `places`, a shape, holds none that could need them.
  LogicalResult requireElements(size_t i, int64_t dim, ArrayRef<Dim> places);
  /// A negative axis counts from the end; fails when out of range.
  FailureOr<int64_t> axis(int64_t value, int64_t rank);
  /// The same for a list; sorted, each once.
  FailureOr<SmallVector<int64_t>> axes(ArrayRef<int64_t> values, int64_t rank);
  /// Integers known at import time, from input `i` or, if there is none, from
  /// an attribute. Empty optional: neither is given.
  FailureOr<std::optional<SmallVector<int64_t>>> intsFrom(size_t i,
                                                          StringRef name);

  /// Reports a feature that the importer lacks.
  LogicalResult unsupported(const Twine &what);
  /// Reports a node that contradicts the ONNX specification.
  LogicalResult invalid(const Twine &what);

  /// Tensor constants of attributes.
  FailureOr<TensorValue> constant(const TensorData &data);

  GraphImporter &getGraph() { return graph; }
  const Node &getNode() const { return node; }

private:
  friend class GraphImporter;
  GraphImporter &graph;
  const Node &node;
  int64_t opsetVersion;
  SmallVector<TensorValue *> inputs;
};

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_NODEIMPORTER_H
