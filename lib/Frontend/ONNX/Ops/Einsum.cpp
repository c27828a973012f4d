//===- Einsum.cpp - Sums of products by subscripts ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operands are multiplied two at a time. Each product is a batched matrix
// product after transposing, so that later passes see a plain one.
//
//===----------------------------------------------------------------------===//
#include "../NodeImporter.h"
#include "Scalars.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

namespace {
/// A tensor whose dimensions have names. Small letters and capitals stand for
/// themselves, numbers below 32 for the dimensions under an ellipsis.
struct Labeled {
  TensorValue tensor;
  std::string labels;

  size_t find(char label) const { return labels.find(label); }
  bool has(char label) const { return find(label) != std::string::npos; }
  const Dim &dim(char label) const { return tensor.shape[find(label)]; }
};
} // namespace

/// "ab...c" as labels, for a tensor of that rank; empty optional: malformed.
static std::optional<std::string> readLabels(StringRef term, int64_t rank,
                                             int64_t &ellipsisRank) {
  std::string labels;
  size_t dots = term.find("...");
  StringRef before = term.substr(0, dots), after;
  if (dots != StringRef::npos)
    after = term.substr(dots + 3);
  auto append = [&](StringRef letters) {
    for (char c : letters) {
      if (!llvm::isAlpha(c))
        return false;
      labels += c;
    }
    return true;
  };
  if (!append(before))
    return std::nullopt;
  if (dots != StringRef::npos) {
    int64_t hidden =
        rank < 0 ? ellipsisRank
                 : rank - static_cast<int64_t>(before.size() + after.size());
    if (hidden < 0 || hidden > 16)
      return std::nullopt;
    ellipsisRank = std::max(ellipsisRank, hidden);
    // Aligned at the right, as in broadcasting.
    for (int64_t i = hidden; i > 0; --i)
      labels += static_cast<char>(i);
  }
  if (!append(after))
    return std::nullopt;
  return labels;
}

/// Keeps the diagonal where a label comes twice.
static Labeled takeDiagonals(Emitter &emit, const Labeled &x) {
  std::string unique;
  Shape shape;
  for (char c : x.labels)
    if (!llvm::is_contained(unique, c)) {
      unique += c;
      shape.push_back(x.dim(c));
    }
  if (unique.size() == x.labels.size())
    return x;
  Value source = emit.materialize(x.tensor);
  TensorValue y =
      emit.indexed({}, shape, x.tensor.dataType,
                   [&](OpBuilder &b, Location l, ValueRange at) -> Value {
                     SmallVector<Value> from;
                     for (char c : x.labels)
                       from.push_back(at[unique.find(c)]);
                     return tensor::ExtractOp::create(b, l, source, from);
                   });
  return {y, unique};
}

/// Sums over the labels that are not in `kept`.
static Labeled sumOut(Emitter &emit, const Labeled &x, StringRef kept) {
  SmallVector<int64_t> axes;
  std::string rest;
  for (auto [i, c] : llvm::enumerate(x.labels))
    if (kept.contains(c))
      rest += c;
    else
      axes.push_back(static_cast<int64_t>(i));
  if (axes.empty())
    return x;
  int32_t type = x.tensor.dataType;
  TensorValue wide = emit.cast(x.tensor, accumulatorOf(type));
  return {emit.cast(emit.reduceSum(wide, axes, false), type), rest};
}

static TensorValue inOrder(Emitter &emit, const Labeled &x, StringRef order) {
  SmallVector<int64_t> perm;
  for (char c : order)
    perm.push_back(static_cast<int64_t>(x.find(c)));
  return emit.transpose(x.tensor, perm);
}

/// The product of two, with the labels in `kept` left.
static std::optional<Labeled> multiply(Emitter &emit, Labeled a, Labeled b,
                                       StringRef kept) {
  a = sumOut(emit, a, (kept + b.labels).str());
  b = sumOut(emit, b, (kept + a.labels).str());
  std::string batch, rows, columns, depth;
  for (char c : a.labels)
    (!b.has(c) ? rows : kept.contains(c) ? batch : depth) += c;
  for (char c : b.labels)
    if (!a.has(c))
      columns += c;
  Shape batchA, batchB, shapeRows, shapeColumns, shapeDepthA, shapeDepthB;
  for (char c : batch) {
    if (!emit.broadcastDim(a.dim(c), b.dim(c)))
      return std::nullopt;
    batchA.push_back(a.dim(c));
    batchB.push_back(b.dim(c));
  }
  for (char c : rows)
    shapeRows.push_back(a.dim(c));
  for (char c : columns)
    shapeColumns.push_back(b.dim(c));
  for (char c : depth) {
    // A dimension of 1 against a larger one would have to be broadcast.
    if (a.dim(c).isConstant() && b.dim(c).isConstant() && a.dim(c) != b.dim(c))
      return std::nullopt;
    shapeDepthA.push_back(a.dim(c));
    shapeDepthB.push_back(b.dim(c));
  }
  auto with = [](Shape shape, const Dim &first, const Dim &second) {
    shape.push_back(first);
    shape.push_back(second);
    return shape;
  };
  TensorValue left =
      emit.reshape(inOrder(emit, a, batch + rows + depth),
                   with(batchA, product(shapeRows), product(shapeDepthA)));
  TensorValue right =
      emit.reshape(inOrder(emit, b, batch + depth + columns),
                   with(batchB, product(shapeDepthB), product(shapeColumns)));
  TensorValue result = emit.matmul(left, right, a.tensor.dataType);
  if (!result.value)
    return std::nullopt;
  Shape full(result.shape.begin(), result.shape.end() - 2);
  full.append(shapeRows);
  full.append(shapeColumns);
  return Labeled{emit.reshape(result, full), batch + rows + columns};
}

static LogicalResult importEinsum(NodeImporter &n) {
  if (n.numInputs() == 0 || failed(n.require(n.numInputs())))
    return n.invalid("it needs inputs");
  Emitter &emit = n.emit;
  std::string equation = n.stringAttr("equation", "");
  llvm::erase(equation, ' ');
  auto [left, right] = StringRef(equation).split("->");
  bool isExplicit = StringRef(equation).contains("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != n.numInputs())
    return n.invalid("equation '" + equation + "' is for " +
                     Twine(terms.size()) + " inputs");
  int64_t ellipsisRank = 0;
  SmallVector<Labeled, 0> operands;
  for (auto [i, term] : llvm::enumerate(terms)) {
    const TensorValue &x = n.input(i);
    auto labels = readLabels(term, x.rank(), ellipsisRank);
    if (!labels || static_cast<int64_t>(labels->size()) != x.rank() ||
        x.dataType != n.input(0).dataType || x.dataType == Bool)
      return n.invalid("input " + Twine(i) + " does not fit equation '" +
                       equation + "'");
    operands.push_back(takeDiagonals(emit, {x, *labels}));
  }
  std::string result;
  if (isExplicit) {
    auto labels = readLabels(right, -1, ellipsisRank);
    if (!labels)
      return n.invalid("equation '" + equation + "'");
    result = *labels;
  } else {
    for (int64_t i = ellipsisRank; i > 0; --i)
      result += static_cast<char>(i);
    std::string letters;
    for (StringRef term : terms)
      for (char c : term)
        if (llvm::isAlpha(c) && left.count(c) == 1)
          letters += c;
    llvm::sort(letters);
    result += letters;
  }
  for (size_t i = 0; i < result.size(); ++i) {
    char c = result[i];
    if (result.find(c, i + 1) != std::string::npos ||
        llvm::none_of(operands, [&](const Labeled &x) { return x.has(c); }))
      return n.invalid("the result of equation '" + equation + "'");
  }

  Labeled product = operands.front();
  for (size_t i = 1; i < operands.size(); ++i) {
    std::string kept = result;
    for (size_t j = i + 1; j < operands.size(); ++j)
      kept += operands[j].labels;
    std::optional<Labeled> next = multiply(emit, product, operands[i], kept);
    if (!next)
      return n.invalid("its inputs do not fit equation '" + equation + "'");
    product = *next;
  }
  product = sumOut(emit, product, result);
  return n.result(inOrder(emit, product, result));
}

void onnx::registerEinsumOps(OpRegistry &registry) {
  registry.add("Einsum", 12, importEinsum);
}
