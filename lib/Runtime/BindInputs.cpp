//===- BindInputs.cpp - Checks the inputs of a run ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DataType.h"
#include "Error.h"
#include "Module.h"
#include <map>

using namespace attn::rt;

static std::string listNames(const std::vector<TensorSpec> &specs) {
  std::string text;
  for (const TensorSpec &spec : specs)
    text += (text.empty() ? "'" : "', '") + spec.name;
  return text.empty() ? "none" : text + "'";
}

/// The index of the spec named `name`.
static size_t findSpec(const std::vector<TensorSpec> &specs, const char *name) {
  for (size_t i = 0; i < specs.size(); ++i)
    if (specs[i].name == name)
      return i;
  fail("unknown input '", name, "'; the module's inputs are ",
       listNames(specs));
}

/// A size that a symbol got, and from where.
namespace {
struct SymbolSize {
  int64_t size;
  std::string input;
  int32_t dim;
};
} // namespace

static void checkTensor(const TensorSpec &spec, const attn_rt_tensor &tensor,
                        std::map<std::string, SymbolSize> &symbols) {
  if (tensor.dtype != spec.dtype)
    fail("input '", spec.name, "' is ", dataTypeName(tensor.dtype),
         " but must be ", dataTypeName(spec.dtype));
  if (tensor.rank < 0 || tensor.rank > ATTN_RT_MAX_RANK)
    fail("input '", spec.name, "' has rank ", tensor.rank, "; the limit is ",
         ATTN_RT_MAX_RANK);
  std::string given = shapeText(tensor.shape, tensor.rank);
  if (tensor.rank != spec.rank())
    fail("input '", spec.name, "' has rank ", tensor.rank, " (shape ", given,
         ") but must have rank ", spec.rank(), ": ", spec.text());
  std::optional<int64_t> count =
      numElements(tensor.shape, tensor.rank, dataTypeSize(tensor.dtype));
  if (!count)
    fail("input '", spec.name, "' has the impossible shape ", given);
  if (*count > 0 && !tensor.data)
    fail("input '", spec.name, "' has no data");
  for (int32_t i = 0; i < tensor.rank; ++i) {
    int64_t size = tensor.shape[i];
    if (spec.shape[i] >= 0) {
      if (size != spec.shape[i])
        fail("input '", spec.name, "' has shape ", given, " but dimension ", i,
             " must be ", spec.shape[i], ", not ", size);
      continue;
    }
    const std::string &symbol = spec.dims[i];
    if (symbol.empty())
      continue;
    auto [known, isNew] =
        symbols.try_emplace(symbol, SymbolSize{size, spec.name, i});
    if (!isNew && known->second.size != size)
      fail("input '", spec.name, "' has shape ", given, ": dimension ", i,
           " ('", symbol, "') is ", size, " but '", symbol, "' is ",
           known->second.size, " in dimension ", known->second.dim,
           " of input '", known->second.input, "'; make them equal");
  }
}

std::vector<attn_rt_tensor>
attn::rt::bindInputs(const std::vector<TensorSpec> &specs,
                     const char *const *names, const attn_rt_tensor *inputs,
                     int32_t numInputs) {
  std::vector<const attn_rt_tensor *> given(specs.size());
  if (!names && numInputs > static_cast<int32_t>(specs.size()))
    fail(numInputs, " inputs are given but the module takes ", specs.size(),
         ": ", listNames(specs));
  for (int32_t i = 0; i < numInputs; ++i) {
    size_t index = names ? findSpec(specs, names[i]) : i;
    if (given[index])
      fail("input '", specs[index].name, "' is given twice");
    given[index] = &inputs[i];
  }
  std::vector<attn_rt_tensor> bound;
  std::map<std::string, SymbolSize> symbols;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (!given[i])
      fail("missing input '", specs[i].name, "' (", specs[i].text(), ")");
    checkTensor(specs[i], *given[i], symbols);
    bound.push_back(*given[i]);
  }
  return bound;
}
