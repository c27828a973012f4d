//===- GraphImporter.h - Walks the graph ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names, scopes, functions and subgraphs of a model, and the list of
// problems found.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_GRAPHIMPORTER_H
#define ATTN_LIB_FRONTEND_ONNX_GRAPHIMPORTER_H

#include "Emitter.h"
#include "NodeImporter.h"
#include "attn/Frontend/ONNX/ImportOnnx.h"

namespace mlir::attn::frontend::onnx {

class GraphImporter {
public:
  GraphImporter(Model &model, Emitter &emit, const ImportOptions &options)
      : model(model), emit(emit), options(options) {}

  /// Names visible at one place. A nested graph also sees its parents'.
  struct Scope {
    Scope *parent = nullptr;
    llvm::StringMap<TensorValue> values;
  };
  /// A function body has its own operator sets and attribute values.
  struct Frame {
    const std::map<std::string, int64_t> *opsets = nullptr;
    llvm::StringMap<const NodeAttr *> attributes;
    int depth = 0;
  };

  /// Imports the nodes of a graph whose inputs are bound in `scope`.
  void importBody(const Graph &graph, Scope &scope);
  /// Imports a nested graph without inputs into the current block.
  TensorValues importNested(const Graph &graph);
  /// Gives every visible value its SSA value, ahead of a nested region.
  void materializeVisible();
  /// The results of a graph; poison where one is missing.
  TensorValues collectOutputs(const Graph &graph, Scope &scope);

  FailureOr<TensorValue> constant(const TensorData &data, StringRef name,
                                  std::string &error);

  void problem(const Twine &text);
  ArrayRef<std::string> getProblems() const { return problems; }

  void bind(StringRef name, TensorValue value);
  TensorValue *lookup(StringRef name);
  const NodeAttr *resolve(const NodeAttr &attribute) const;
  std::string describe(const Node &node, int64_t version) const;
  /// Reports the operators in `graph` that are not known at all.
  void reportUnknown(const Graph &graph);

  Scope *scope = nullptr;

private:
  void importNode(const Node &node);
  void importCall(const Node &node, const Function &function);
  void poisonOutputs(const Node &node);
  const Function *findFunction(const Node &node) const;
  std::optional<int64_t> opsetOf(StringRef domain) const;
  void reportUnknown(const Node &node);

  Model &model;
  Emitter &emit;
  const ImportOptions &options;
  Frame *frame = nullptr;
  std::vector<std::string> problems;
  llvm::StringMap<unsigned> weightNames;

  friend OwningOpRef<ModuleOp> importOnnx(StringRef, MLIRContext *,
                                          const ImportOptions &, std::string &,
                                          bool *);
};

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_GRAPHIMPORTER_H
