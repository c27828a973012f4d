//===- NVToPTX.cpp - PTX of the attn_nv operations ------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "attn/Target/NVIDIA/NVPasses.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNNVTOPTX
#include "attn/Target/NVIDIA/NVPasses.h.inc"
} // namespace mlir::attn

using namespace mlir;
using namespace mlir::attn;

namespace {

/// One inline assembly statement: scalar outputs first, then inputs.
class Assembly {
public:
  Assembly(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  /// The elements of a vector become outputs; returns the text '$a, $b, ...'.
  std::string output(VectorType type) {
    StringRef constraint = type.getElementType().isF32() ? "=f" : "=r";
    for (int64_t i = 0; i < type.getNumElements(); ++i) {
      addConstraint(constraint);
      results.push_back(type.getElementType());
    }
    return numbers(results.size() - type.getNumElements(), results.size());
  }

  std::string input(Value value, StringRef constraint) {
    addConstraint(constraint);
    inputs.push_back(value);
    size_t number = results.size() + inputs.size() - 1;
    return numbers(number, number + 1);
  }

  /// The elements of a vector of i32 as inputs.
  std::string inputElements(Value vector) {
    size_t first = results.size() + inputs.size();
    for (Value element : elements(vector))
      input(element, "r");
    return numbers(first, results.size() + inputs.size());
  }

  /// The elements of a vector enter in the registers of the outputs from
  /// number `first` on.
  void tie(Value vector, size_t first) {
    for (Value element : elements(vector)) {
      addConstraint(std::to_string(first++));
      inputs.push_back(element);
    }
  }

  void clobberMemory() { addConstraint("~{memory}"); }

  /// Emits the statement and returns its scalar results.
  SmallVector<Value> emit(const Twine &text) {
    Type type = LLVM::LLVMVoidType::get(builder.getContext());
    if (results.size() == 1)
      type = results.front();
    else if (!results.empty())
      type = LLVM::LLVMStructType::getLiteral(builder.getContext(), results);
    auto op = LLVM::InlineAsmOp::create(
        builder, loc, results.empty() ? TypeRange() : TypeRange(type), inputs,
        text.str(), constraints, /*has_side_effects=*/true,
        /*is_align_stack=*/false, LLVM::TailCallKind::None,
        LLVM::AsmDialectAttr::get(builder.getContext(),
                                  LLVM::AsmDialect::AD_ATT),
        /*operand_attrs=*/nullptr);
    if (results.size() < 2)
      return SmallVector<Value>(op->getResults());
    SmallVector<Value> values;
    for (size_t i = 0; i < results.size(); ++i)
      values.push_back(
          LLVM::ExtractValueOp::create(builder, loc, op->getResult(0), i));
    return values;
  }

  Value i32(int64_t value) {
    return LLVM::ConstantOp::create(builder, loc, builder.getI32Type(),
                                    builder.getI32IntegerAttr(value));
  }

  Value vector(VectorType type, ArrayRef<Value> scalars) {
    Value result = LLVM::PoisonOp::create(builder, loc, type);
    for (auto [i, scalar] : llvm::enumerate(scalars))
      result =
          LLVM::InsertElementOp::create(builder, loc, result, scalar, i32(i));
    return result;
  }

private:
  SmallVector<Value> elements(Value vector) {
    SmallVector<Value> scalars;
    int64_t size = cast<VectorType>(vector.getType()).getNumElements();
    for (int64_t i = 0; i < size; ++i)
      scalars.push_back(
          LLVM::ExtractElementOp::create(builder, loc, vector, i32(i)));
    return scalars;
  }

  void addConstraint(StringRef constraint) {
    if (!constraints.empty())
      constraints += ',';
    constraints += constraint;
  }

  static std::string numbers(size_t first, size_t end) {
    std::string text;
    for (size_t i = first; i < end; ++i)
      text += (i == first ? "$" : ", $") + std::to_string(i);
    return text;
  }

  OpBuilder &builder;
  Location loc;
  std::string constraints;
  SmallVector<Type> results;
  SmallVector<Value> inputs;
};

void lower(nv::WgmmaOp op, OpBuilder &builder) {
  Assembly assembly(builder, op.getLoc());
  VectorType type = op.getResult().getType();
  std::string d = assembly.output(type);
  std::string a = op.hasRegisterA()
                      ? "{" + assembly.inputElements(op.getA()) + "}"
                      : assembly.input(op.getA(), "l");
  std::string b = assembly.input(op.getB(), "l");
  if (op.getAccumulator())
    assembly.tie(op.getAccumulator(), 0);
  StringRef element = nv::stringifyMatrixType(op.getElement());
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "{ .reg .pred p; setp.ne.b32 p, " << (op.getAccumulator() ? 1 : 0)
     << ", 0; wgmma.mma_async.sync.aligned.m64n" << op.getN() << "k"
     << op.getK() << ".f32." << element << '.' << element << " {" << d << "}, "
     << a << ", " << b << ", p, 1, 1";
  if (op.getElement() != nv::MatrixType::tf32) {
    if (!op.hasRegisterA())
      os << ", " << (op.getTransA() ? 1 : 0);
    os << ", " << (op.getTransB() ? 1 : 0);
  }
  os << "; }";
  op.replaceAllUsesWith(assembly.vector(type, assembly.emit(text)));
}

/// An instruction that hands registers on.
void lowerPassedOn(Operation *op, const Twine &text, OpBuilder &builder) {
  Assembly assembly(builder, op->getLoc());
  for (Type type : op->getResultTypes())
    assembly.output(cast<VectorType>(type));
  size_t first = 0;
  for (Value value : op->getOperands()) {
    assembly.tie(value, first);
    first += cast<VectorType>(value.getType()).getNumElements();
  }
  assembly.clobberMemory();
  SmallVector<Value> scalars = assembly.emit(text);
  ArrayRef<Value> rest = scalars;
  for (OpResult result : op->getResults()) {
    auto type = cast<VectorType>(result.getType());
    result.replaceAllUsesWith(
        assembly.vector(type, rest.take_front(type.getNumElements())));
    rest = rest.drop_front(type.getNumElements());
  }
}

Value addressOf(Value pointer, OpBuilder &builder) {
  return LLVM::PtrToIntOp::create(builder, pointer.getLoc(),
                                  builder.getI32Type(), pointer);
}

void lower(nv::MBarrierArriveOp op, OpBuilder &builder) {
  Assembly assembly(builder, op.getLoc());
  std::string barrier =
      assembly.input(addressOf(op.getBarrier(), builder), "r");
  std::string predicate = assembly.input(op.getPredicate(), "b");
  assembly.clobberMemory();
  assembly.emit("@" + predicate + " mbarrier.arrive.shared::cta.b64 _, [" +
                barrier + "];");
}

void lower(nv::MBarrierWaitOp op, OpBuilder &builder) {
  Assembly assembly(builder, op.getLoc());
  std::string barrier =
      assembly.input(addressOf(op.getBarrier(), builder), "r");
  std::string parity = assembly.input(op.getParity(), "r");
  assembly.clobberMemory();
  // Labels inside braces are local, so that copies may stand side by side.
  assembly.emit("{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 "
                "p, [" +
                barrier + "], " + parity + "; @p bra.uni D; bra.uni W; D: }");
}

void lowerUnary(Operation *op, StringRef intrinsic, OpBuilder &builder) {
  auto call = LLVM::CallIntrinsicOp::create(
      builder, op->getLoc(), op->getResultTypes().front(),
      builder.getStringAttr(intrinsic), op->getOperands());
  op->replaceAllUsesWith(call->getResults());
}

/// tanh has no intrinsic in every release; it has no side effect either.
void lower(nv::TanhOp op, OpBuilder &builder) {
  auto call = LLVM::InlineAsmOp::create(
      builder, op.getLoc(), op.getType(), op.getOperand(),
      "tanh.approx.f32 $0, $1;", "=f,f", /*has_side_effects=*/false,
      /*is_align_stack=*/false, LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(builder.getContext(), LLVM::AsmDialect::AD_ATT),
      /*operand_attrs=*/nullptr);
  op.replaceAllUsesWith(call->getResult(0));
}

struct NVToPTX : attn::impl::AttnNVToPTXBase<NVToPTX> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa_and_nonnull<nv::AttnNVDialect>(op->getDialect()))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      OpBuilder builder(op);
      llvm::TypeSwitch<Operation *>(op)
          .Case<nv::WgmmaOp, nv::MBarrierArriveOp, nv::MBarrierWaitOp,
                nv::TanhOp>([&](auto op) { lower(op, builder); })
          .Case([&](nv::WgmmaFenceOp op) {
            lowerPassedOn(op, "wgmma.fence.sync.aligned;", builder);
          })
          .Case([&](nv::WgmmaWaitOp op) {
            lowerPassedOn(op,
                          "wgmma.wait_group.sync.aligned " +
                              Twine(op.getPending()) + ";",
                          builder);
          })
          .Case([&](nv::Exp2Op op) {
            lowerUnary(op, "llvm.nvvm.ex2.approx.ftz", builder);
          })
          .Case([&](nv::Log2Op op) {
            lowerUnary(op, "llvm.nvvm.lg2.approx.ftz.f", builder);
          })
          .Case([&](nv::RcpOp op) {
            lowerUnary(op, "llvm.nvvm.rcp.approx.ftz.f", builder);
          });
      op->erase();
    }
  }
};

} // namespace
