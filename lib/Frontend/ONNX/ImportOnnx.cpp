//===- ImportOnnx.cpp - A model file as a module --------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Frontend/ONNX/ImportOnnx.h"
#include "GraphImporter.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

constexpr int64_t kOldestOpset = 7, kNewestOpset = 27;

void onnx::registerImportDialects(DialectRegistry &registry) {
  registry
      .insert<AttnDialect, rt::AttnRTDialect, arith::ArithDialect,
              func::FuncDialect, linalg::LinalgDialect, math::MathDialect,
              scf::SCFDialect, cf::ControlFlowDialect, tensor::TensorDialect>();
}

/// "batch + 1", "past + sequence": sums of products of names and numbers,
/// when all the names are known. Torch writes such dimension names.
static std::optional<Dim> parseDimExpression(StringRef text,
                                             const Emitter &emit) {
  Dim sum = 0;
  SmallVector<StringRef> terms, factors;
  text.split(terms, '+');
  for (StringRef term : terms) {
    Dim part = 1;
    factors.clear();
    term.split(factors, '*');
    for (StringRef factor : factors) {
      factor = factor.trim();
      int64_t number;
      if (!factor.getAsInteger(10, number))
        part = part * Dim(number);
      else if (std::optional<Dim> symbol = emit.findNamed(factor))
        part = part * *symbol;
      else
        return std::nullopt;
    }
    sum = sum + part;
  }
  return sum;
}

namespace {
/// Builds the function around the graph.
class FunctionBuilder {
public:
  FunctionBuilder(Model &model, MLIRContext *context,
                  const ImportOptions &options)
      : model(model), context(context), options(options), builder(context) {}

  OwningOpRef<ModuleOp> build(SmallVector<std::string> &problems);

private:
  void addArguments(Block *entry, Emitter &emit, GraphImporter &importer,
                    GraphImporter::Scope &scope);
  DictionaryAttr describe(StringRef name, ArrayRef<std::string> dims,
                          int32_t dataType);
  void eraseDead(Region &region);

  Model &model;
  MLIRContext *context;
  const ImportOptions &options;
  OpBuilder builder;
  SmallVector<Attribute> argumentAttrs;
};
} // namespace

DictionaryAttr FunctionBuilder::describe(StringRef name,
                                         ArrayRef<std::string> dims,
                                         int32_t dataType) {
  SmallVector<StringRef> names(dims.begin(), dims.end());
  NamedAttrList list;
  list.set("attn.dims", builder.getStrArrayAttr(names));
  list.set("attn.name", builder.getStringAttr(name));
  // Integers are signless in the function's type.
  if (isUnsigned(dataType) && dataType != Bool)
    list.set("attn.dtype", builder.getStringAttr(dataTypeName(dataType)));
  return list.getDictionary(context);
}

void FunctionBuilder::addArguments(Block *entry, Emitter &emit,
                                   GraphImporter &importer,
                                   GraphImporter::Scope &scope) {
  llvm::StringMap<bool> initialized;
  for (const auto &initializer : model.graph.initializers)
    initialized[initializer->name] = true;
  struct Pending {
    Value argument;
    const ValueInfo *info;
  };
  SmallVector<Pending> arguments;
  for (const ValueInfo &input : model.graph.inputs) {
    if (initialized.count(input.name))
      continue;
    Type element = emit.elementType(input.dataType);
    std::string problem;
    if (!input.isTensor)
      problem = "is not a tensor, which is not supported";
    else if (!element)
      problem = "has element type " + dataTypeName(input.dataType) +
                ", which is not supported";
    else if (!input.hasShape)
      problem = "has no shape, which is not supported: its rank must be known";
    if (scope.values.count(input.name))
      problem = "is named twice";
    if (!problem.empty()) {
      importer.problem("input '" + input.name + "' " + problem);
      scope.values[input.name].isPoison = true;
      continue;
    }
    SmallVector<int64_t> sizes;
    for (const DimInfo &dim : input.dims)
      sizes.push_back(dim.value.value_or(ShapedType::kDynamic));
    auto type = RankedTensorType::get(sizes, element);
    Value argument = entry->addArgument(
        type, NameLoc::get(builder.getStringAttr(input.name)));
    scope.values[input.name].dataType = input.dataType;
    arguments.push_back({argument, &input});
  }
  // Plain names first, so that expressions over them can be read.
  auto dimValue = [&](const Pending &pending, int64_t i) {
    return emit.atEntry([&](OpBuilder &b) -> Value {
      Value index = arith::ConstantIndexOp::create(b, b.getUnknownLoc(), i);
      return tensor::DimOp::create(b, b.getUnknownLoc(), pending.argument,
                                   index);
    });
  };
  for (const Pending &pending : arguments)
    for (auto [i, dim] : llvm::enumerate(pending.info->dims))
      if (!dim.value && !dim.param.empty() &&
          !dim.param.contains_insensitive("+") && !dim.param.contains('*') &&
          !emit.findNamed(dim.param))
        emit.nameSymbol(
            dim.param,
            emit.newSymbol(dimValue(pending, static_cast<int64_t>(i)), true,
                           dim.param));
  for (const Pending &pending : arguments) {
    Shape shape;
    SmallVector<std::string> names;
    for (auto [i, dim] : llvm::enumerate(pending.info->dims)) {
      names.push_back(dim.value ? "" : dim.param.str());
      if (dim.value) {
        shape.push_back(*dim.value);
        continue;
      }
      std::optional<Dim> known;
      if (!dim.param.empty()) {
        known = emit.findNamed(dim.param);
        if (!known) {
          known = parseDimExpression(dim.param, emit);
          // A constant would contradict the dynamic type.
          if (known && known->isConstant())
            known.reset();
          // Only the equality of plain names is checked by the runtime.
          if (known) {
            Dim actual = emit.newSymbol(
                dimValue(pending, static_cast<int64_t>(i)), true);
            emit.setLoc(pending.argument.getLoc());
            emit.requireEqual(actual, *known);
          }
        }
      }
      if (!known)
        known = emit.newSymbol(dimValue(pending, static_cast<int64_t>(i)), true,
                               dim.param);
      if (!dim.param.empty())
        emit.nameSymbol(dim.param, *known);
      shape.push_back(*known);
    }
    scope.values[pending.info->name] =
        emit.fromValue(pending.argument, pending.info->dataType, shape);
    argumentAttrs.push_back(
        describe(pending.info->name, names, pending.info->dataType));
  }
}

void FunctionBuilder::eraseDead(Region &region) {
  for (Block &block : region)
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      if (isOpTriviallyDead(&op)) {
        op.erase();
        continue;
      }
      if (isa<scf::IfOp>(op))
        for (Region &inner : op.getRegions())
          eraseDead(inner);
    }
}

OwningOpRef<ModuleOp>
FunctionBuilder::build(SmallVector<std::string> &problems) {
  OwningOpRef<ModuleOp> module =
      ModuleOp::create(builder.getUnknownLoc(), model.fileName);
  builder.setInsertionPointToEnd(module->getBody());
  auto function = func::FuncOp::create(
      builder, NameLoc::get(builder.getStringAttr(options.functionName)),
      options.functionName, builder.getFunctionType({}, {}));
  Block *entry = function.addEntryBlock();
  Emitter emit(context, entry);
  GraphImporter importer(model, emit, options);
  GraphImporter::Scope scope;
  addArguments(entry, emit, importer, scope);
  importer.importBody(model.graph, scope);
  TensorValues results = importer.collectOutputs(model.graph, scope);
  problems.assign(importer.getProblems().begin(), importer.getProblems().end());
  if (!problems.empty())
    return {};
  if (llvm::any_of(results, [](TensorValue &v) { return v.isPoison; })) {
    problems.push_back("a graph output could not be built");
    return {};
  }

  SmallVector<Value> values;
  SmallVector<Attribute> resultAttrs;
  emit.setLoc(builder.getUnknownLoc());
  for (auto [result, info] : llvm::zip(results, model.graph.outputs)) {
    values.push_back(emit.materialize(result));
    SmallVector<std::string> names;
    for (auto [i, dim] : llvm::enumerate(result.shape)) {
      std::string name;
      if (std::optional<unsigned> symbol = dim.asSymbol())
        name = emit.symbolName(*symbol).str();
      if (name.empty() && !dim.isConstant() && i < info.dims.size())
        name = info.dims[i].param.str();
      names.push_back(name);
    }
    resultAttrs.push_back(describe(info.name, names, result.dataType));
  }
  emit.getBuilder().setInsertionPointToEnd(entry);
  func::ReturnOp::create(emit.getBuilder(), builder.getUnknownLoc(), values);
  function.setType(builder.getFunctionType(entry->getArgumentTypes(),
                                           ValueRange(values).getTypes()));
  function.setAllArgAttrs(argumentAttrs);
  function.setAllResultAttrs(resultAttrs);
  eraseDead(function.getBody());
  return module;
}

OwningOpRef<ModuleOp> onnx::importOnnx(StringRef path, MLIRContext *context,
                                       const ImportOptions &options,
                                       std::string &error,
                                       bool *isUnsupported) {
  DialectRegistry registry;
  registerImportDialects(registry);
  context->appendDialectRegistry(registry);
  context->loadAllAvailableDialects();

  std::string reason;
  auto fail = [&](const Twine &text) -> OwningOpRef<ModuleOp> {
    error = (path + ": " + text).str();
    return {};
  };
  std::unique_ptr<Model> model = readModel(path, reason);
  if (!model)
    return fail(reason);
  auto opset = model->opsets.find("");
  if (opset != model->opsets.end() &&
      (opset->second < kOldestOpset || opset->second > kNewestOpset)) {
    if (isUnsupported)
      *isUnsupported = true;
    return fail("operator set version " + Twine(opset->second) +
                " is not supported; versions " + Twine(kOldestOpset) + " to " +
                Twine(kNewestOpset) + " are");
  }

  // Nothing that a file says may reach the user as a raw diagnostic.
  std::string diagnostics;
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
    if (diagnostics.empty())
      diagnostics = diagnostic.str();
    return success();
  });
  SmallVector<std::string> problems;
  OwningOpRef<ModuleOp> module =
      FunctionBuilder(*model, context, options).build(problems);
  // One problem that is no matter of support makes the model a wrong one.
  if (isUnsupported)
    *isUnsupported =
        !problems.empty() && llvm::all_of(problems, [](const std::string &p) {
          return StringRef(p).contains("not supported");
        });
  if (problems.size() == 1)
    return fail(problems.front());
  if (!problems.empty())
    return fail(Twine(problems.size()) + " problems:\n  " +
                llvm::join(problems, "\n  "));
  if (!module || failed(verify(*module)))
    return fail("the model is inconsistent: " + diagnostics);
  return module;
}
