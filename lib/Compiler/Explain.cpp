//===- Explain.cpp - A report about the attentions of a module ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Explain.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"

using namespace mlir;
using namespace mlir::attn;

std::string mlir::attn::compiler::explainModule(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  unsigned count = 0;
  module.walk([&](AttentionOp op) {
    stream << "attention " << ++count << '\n';
    if (auto origin = op->getAttrOfType<StringAttr>("attn.origin"))
      stream << "  from   " << origin.getValue() << '\n';
    stream << "  query  " << op.getQuery().getType() << '\n'
           << "  key    " << op.getKey().getType() << '\n'
           << "  value  " << op.getValue().getType() << '\n';
    stream << "  mask   ";
    if (op.getMaskAttr())
      stream << Attribute(op.getMaskAttr());
    else
      stream << "none";
    stream << '\n';
  });
  if (!count)
    stream << "no attention was recognized\n";
  return text;
}
