//===- Metadata.cpp - What the runtime knows about a module ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Metadata.h"
#include "CodeGen.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::attn::compiler;

std::string mlir::attn::compiler::dtypeName(Type type) {
  if (type.isF32())
    return "float32";
  if (type.isF64())
    return "float64";
  if (type.isF16())
    return "float16";
  if (type.isBF16())
    return "bfloat16";
  if (type.isIndex())
    return "int64";
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer)
    return "";
  if (integer.getWidth() == 1)
    return "bool";
  if (llvm::is_contained({8u, 16u, 32u, 64u}, integer.getWidth()))
    return (integer.isUnsigned() ? "uint" : "int") +
           std::to_string(integer.getWidth());
  return "";
}

/// One tensor of the signature. `attributes` are those of the argument or
/// result.
static llvm::Expected<llvm::json::Value>
describeTensor(Type type, DictionaryAttr attributes, const Twine &fallback) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  std::string dtype = tensor ? dtypeName(tensor.getElementType()) : "";
  std::string text;
  llvm::raw_string_ostream(text) << type;
  if (dtype.empty())
    return failure("type '" + text +
                   "' at the entry function; expected ranked tensors of "
                   "floats, integers or i1");
  std::string name = fallback.str();
  if (attributes)
    if (auto given = attributes.getAs<StringAttr>("attn.name"))
      name = given.getValue().str();
  // The frontend keeps the sign in the attribute, since arith is signless.
  if (attributes)
    if (auto given = attributes.getAs<StringAttr>("attn.dtype"))
      dtype = given.getValue().str();
  llvm::json::Array shape, dims;
  ArrayAttr symbols =
      attributes ? attributes.getAs<ArrayAttr>("attn.dims") : ArrayAttr();
  for (int64_t i = 0; i < tensor.getRank(); ++i) {
    shape.push_back(tensor.isDynamicDim(i) ? -1 : tensor.getDimSize(i));
    auto symbol = symbols && i < static_cast<int64_t>(symbols.size())
                      ? dyn_cast<StringAttr>(symbols[i])
                      : StringAttr();
    dims.push_back(symbol ? symbol.getValue().str() : "");
  }
  return llvm::json::Object{{"name", name},
                            {"dtype", dtype},
                            {"shape", std::move(shape)},
                            {"dims", std::move(dims)}};
}

llvm::Expected<std::string>
mlir::attn::compiler::describeSignature(func::FuncOp entry) {
  llvm::json::Array inputs, outputs;
  for (unsigned i = 0; i < entry.getNumArguments(); ++i) {
    auto tensor = describeTensor(entry.getArgumentTypes()[i],
                                 entry.getArgAttrDict(i), "arg" + Twine(i));
    if (!tensor)
      return tensor.takeError();
    inputs.push_back(std::move(*tensor));
  }
  for (unsigned i = 0; i < entry.getNumResults(); ++i) {
    auto tensor =
        describeTensor(entry.getResultTypes()[i], entry.getResultAttrDict(i),
                       "result" + Twine(i));
    if (!tensor)
      return tensor.takeError();
    outputs.push_back(std::move(*tensor));
  }
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "\"inputs\":" << llvm::json::Value(std::move(inputs))
         << ",\"outputs\":" << llvm::json::Value(std::move(outputs));
  return text;
}

std::string mlir::attn::compiler::describeWeights(ModuleOp module) {
  llvm::json::Array weights;
  if (auto table = module->getAttrOfType<ArrayAttr>("attn.weights"))
    for (Attribute entry : table) {
      auto weight = cast<DictionaryAttr>(entry);
      auto type =
          cast<RankedTensorType>(weight.getAs<TypeAttr>("type").getValue());
      llvm::json::Array shape;
      for (int64_t size : type.getShape())
        shape.push_back(size);
      weights.push_back(llvm::json::Object{
          {"name", weight.getAs<StringAttr>("name").getValue().str()},
          {"dtype", dtypeName(type.getElementType())},
          {"shape", std::move(shape)},
          {"file", weight.getAs<StringAttr>("file").getValue().str()},
          {"offset", weight.getAs<IntegerAttr>("offset").getInt()}});
    }
  llvm::json::Array prepared;
  if (auto types = module->getAttrOfType<ArrayAttr>("attn.prepared"))
    for (auto type : types.getAsValueRange<TypeAttr>()) {
      auto tensor = cast<RankedTensorType>(type);
      llvm::json::Array shape(tensor.getShape());
      prepared.push_back(
          llvm::json::Object{{"dtype", dtypeName(tensor.getElementType())},
                             {"shape", std::move(shape)}});
    }
  std::string text;
  llvm::raw_string_ostream(text)
      << "\"weights\":" << llvm::json::Value(std::move(weights))
      << ",\"prepared\":" << llvm::json::Value(std::move(prepared));
  return text;
}
