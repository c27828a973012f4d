//===- ScalarEmitter.cpp - Scalar code of one thread ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ScalarEmitter.h"
#include "attn/Target/NVIDIA/Passes.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/UB/IR/UBOps.h"

using namespace mlir;
using namespace mlir::attn::nvidia;

ScalarEmitter::ScalarEmitter(func::FuncOp source, gpu::GPUFuncOp target)
    : source(source), target(target),
      b(source.getLoc(),
        OpBuilder::atBlockEnd(&target.getFunctionBody().front())) {
  thread = NVVM::ThreadIdXOp::create(b, b.getI32Type());
}

LogicalResult ScalarEmitter::fail(Operation *op, const Twine &reason) {
  if (why.empty()) {
    llvm::raw_string_ostream text(why);
    text << op->getName() << ": " << reason;
  }
  return failure();
}

Type ScalarEmitter::convert(Type type) {
  return type.isIndex() ? b.getI32Type() : type;
}

Value ScalarEmitter::constant(int64_t value) {
  return arith::ConstantIntOp::create(b, value, 32);
}

Value ScalarEmitter::wide(int64_t value) {
  return arith::ConstantIntOp::create(b, value, 64);
}

static std::optional<int64_t> known(Value x) {
  APInt value;
  if (matchPattern(x, m_ConstantInt(&value)))
    return value.getSExtValue();
  return std::nullopt;
}

static constexpr auto noOverflow = arith::IntegerOverflowFlags::nsw;

Value ScalarEmitter::add(Value a, Value b_) {
  auto ca = known(a), cb = known(b_);
  if (ca && cb)
    return constant(*ca + *cb);
  if (ca && *ca == 0)
    return b_;
  if (cb && *cb == 0)
    return a;
  return arith::AddIOp::create(b, a, b_, noOverflow);
}

Value ScalarEmitter::sub(Value a, Value b_) {
  auto ca = known(a), cb = known(b_);
  if (ca && cb)
    return constant(*ca - *cb);
  if (cb && *cb == 0)
    return a;
  return arith::SubIOp::create(b, a, b_, noOverflow);
}

Value ScalarEmitter::mul(Value a, Value b_) {
  auto ca = known(a), cb = known(b_);
  if (ca && cb)
    return constant(*ca * *cb);
  if (cb && *cb == 1)
    return a;
  if (ca && *ca == 1)
    return b_;
  return arith::MulIOp::create(b, a, b_, noOverflow);
}

Value ScalarEmitter::divide(Value a, int64_t divisor) {
  if (divisor == 1)
    return a;
  if (llvm::isPowerOf2_64(divisor))
    return arith::ShRUIOp::create(b, a, constant(llvm::Log2_64(divisor)));
  return arith::DivUIOp::create(b, a, constant(divisor));
}

Value ScalarEmitter::modulo(Value a, int64_t divisor) {
  if (divisor == 1)
    return constant(0);
  if (llvm::isPowerOf2_64(divisor))
    return arith::AndIOp::create(b, a, constant(divisor - 1));
  return arith::RemUIOp::create(b, a, constant(divisor));
}

Value ScalarEmitter::minimum(Value a, Value b_) {
  return arith::MinSIOp::create(b, a, b_);
}

Value ScalarEmitter::less(Value a, Value b_) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, a, b_);
}

Value ScalarEmitter::both(Value a, Value b_) {
  if (!a || !b_)
    return a ? a : b_;
  return arith::AndIOp::create(b, a, b_);
}

Value ScalarEmitter::valueOf(OpFoldResult x) {
  if (auto value = dyn_cast<Value>(x))
    return lookup(value);
  return constant(*getConstantIntValue(x));
}

void ScalarEmitter::bindParameters() {
  Block &body = target.getFunctionBody().front();
  auto global = LLVM::LLVMPointerType::get(b.getContext(), 1);
  unsigned next = 0;
  // The results of the loop are those parameters that it writes.
  llvm::SmallPtrSet<Value, 4> written;
  source.walk([&](scf::ForallOp loop) {
    if (loop->getParentOp() == source)
      written.insert(loop.getOutputs().begin(), loop.getOutputs().end());
  });
  for (BlockArgument parameter : source.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(parameter.getType());
    Value own = body.getArgument(next++);
    if (!type) {
      if (parameter.getType().isIndex())
        own = arith::TruncIOp::create(b, b.getI32Type(), own);
      scalars[parameter] = own;
      continue;
    }
    Buffer &buffer = buffers.emplace_back();
    buffer.pointer = LLVM::AddrSpaceCastOp::create(b, global, own);
    buffer.type = type;
    buffer.readOnly = !written.contains(parameter);
    SmallVector<Value> sizes;
    for (int64_t size : type.getShape()) {
      sizes.push_back(ShapedType::isDynamic(size) ? body.getArgument(next++)
                                                  : wide(size));
      buffer.sizes.push_back(
          ShapedType::isDynamic(size)
              ? arith::TruncIOp::create(b, b.getI32Type(), sizes.back())
              : constant(size));
    }
    buffer.strides.resize(sizes.size());
    Value stride = wide(1);
    for (int64_t dim = sizes.size() - 1; dim >= 0; --dim) {
      buffer.strides[dim] = stride;
      if (dim > 0) {
        auto a = known(stride), c = known(sizes[dim]);
        stride = a && c
                     ? wide(*a * *c)
                     : arith::MulIOp::create(b, stride, sizes[dim], noOverflow)
                           .getResult();
      }
    }
    views[parameter] = viewOf(buffer);
  }
}

View ScalarEmitter::viewOf(const Buffer &buffer) {
  View view;
  view.buffer = &buffer;
  for (int64_t dim = 0; dim < buffer.type.getRank(); ++dim) {
    view.offsets.push_back(constant(0));
    view.dims.push_back(dim);
    view.sizes.push_back(buffer.sizes[dim]);
  }
  return view;
}

Value ScalarEmitter::countPoints(scf::ForallOp loop) {
  Value count = constant(1);
  for (auto [lower, upper, step] :
       llvm::zip(loop.getMixedLowerBound(), loop.getMixedUpperBound(),
                 loop.getMixedStep())) {
    Value size = sub(valueOf(upper), valueOf(lower));
    if (!isConstantIntValue(step, 1))
      size = arith::CeilDivSIOp::create(b, size, valueOf(step));
    count = mul(count, size);
  }
  return count;
}

void ScalarEmitter::bindPoint(scf::ForallOp loop, Value point) {
  auto lower = loop.getMixedLowerBound(), upper = loop.getMixedUpperBound(),
       step = loop.getMixedStep();
  SmallVector<Value> vars(loop.getInductionVars());
  for (int64_t dim = vars.size() - 1; dim >= 0; --dim) {
    Value number = point;
    if (dim > 0) {
      Value size = sub(valueOf(upper[dim]), valueOf(lower[dim]));
      if (!isConstantIntValue(step[dim], 1))
        size = arith::CeilDivSIOp::create(b, size, valueOf(step[dim]));
      if (auto fixed = known(size)) {
        number = modulo(point, *fixed);
        point = divide(point, *fixed);
      } else {
        number = arith::RemUIOp::create(b, point, size);
        point = arith::DivUIOp::create(b, point, size);
      }
    }
    scalars[vars[dim]] =
        add(mul(number, valueOf(step[dim])), valueOf(lower[dim]));
  }
}

/// The type of an element in memory: a boolean is a byte, an index has 64 bits.
static Type inMemory(OpBuilder &b, Type type) {
  if (type.isInteger(1))
    return b.getI8Type();
  return type.isIndex() ? b.getI64Type() : type;
}

Value ScalarEmitter::address(const View &view, ArrayRef<Value> indices) {
  const Buffer &buffer = *view.buffer;
  SmallVector<Value> at(view.offsets);
  for (auto [dim, index] : llvm::zip(view.dims, indices))
    at[dim] = add(at[dim], index);
  Value offset;
  for (auto [index, stride] : llvm::zip(at, buffer.strides)) {
    if (known(index) == 0)
      continue;
    Value term = arith::ExtSIOp::create(b, b.getI64Type(), index);
    if (known(stride) != 1)
      term = arith::MulIOp::create(b, term, stride, noOverflow);
    offset = offset ? arith::AddIOp::create(b, offset, term, noOverflow) : term;
  }
  if (!offset)
    return buffer.pointer;
  return LLVM::GEPOp::create(b, buffer.pointer.getType(),
                             inMemory(b, buffer.type.getElementType()),
                             buffer.pointer, ArrayRef<LLVM::GEPArg>{offset});
}

Value ScalarEmitter::load(const View &view, ArrayRef<Value> indices) {
  Type element = view.buffer->type.getElementType();
  Type stored = inMemory(b, element);
  Value pointer = address(view, indices);
  auto loaded = LLVM::LoadOp::create(b, stored, pointer);
  if (view.buffer->readOnly)
    loaded.setInvariant(true);
  if (element.isInteger(1))
    return arith::TruncIOp::create(b, element, loaded);
  if (element.isIndex())
    return arith::TruncIOp::create(b, b.getI32Type(), loaded);
  return loaded;
}

void ScalarEmitter::store(const View &view, ArrayRef<Value> indices,
                          Value element) {
  Type type = view.buffer->type.getElementType();
  if (type.isInteger(1))
    element = arith::ExtUIOp::create(b, b.getI8Type(), element);
  else if (type.isIndex())
    element = arith::ExtSIOp::create(b, b.getI64Type(), element);
  LLVM::StoreOp::create(b, element, address(view, indices));
}

FailureOr<View> ScalarEmitter::slice(tensor::ExtractSliceOp op,
                                     const View &source) {
  if (!llvm::all_of(op.getMixedStrides(),
                    [](OpFoldResult x) { return isConstantIntValue(x, 1); }))
    return fail(op, "the slice has steps other than 1");
  View view;
  view.buffer = source.buffer;
  view.offsets = source.offsets;
  llvm::SmallBitVector dropped = op.getDroppedDims();
  for (auto [i, offset] : llvm::enumerate(op.getMixedOffsets())) {
    int64_t dim = source.dims[i];
    view.offsets[dim] = add(view.offsets[dim], valueOf(offset));
    if (dropped.test(i))
      continue;
    view.dims.push_back(dim);
    view.sizes.push_back(valueOf(op.getMixedSizes()[i]));
  }
  return view;
}

FailureOr<Value> ScalarEmitter::emitExtract(tensor::ExtractOp op) {
  auto view = views.find(op.getTensor());
  if (view == views.end())
    return fail(op, "reads a tensor that is not in global memory");
  SmallVector<Value> at;
  for (Value index : op.getIndices())
    at.push_back(lookup(index));
  return load(view->second, at);
}

LogicalResult ScalarEmitter::emitScalar(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto attr = dyn_cast<TypedAttr>(constant.getValue());
    if (isa<ShapedType>(attr.getType()))
      return fail(op, "a constant tensor is not a parameter of the kernel");
    // Bounds beyond what an i32 holds are as good as the largest one.
    if (attr.getType().isIndex())
      attr = b.getI32IntegerAttr(std::clamp<int64_t>(
          cast<IntegerAttr>(attr).getInt(), std::numeric_limits<int32_t>::min(),
          std::numeric_limits<int32_t>::max()));
    scalars[constant] = arith::ConstantOp::create(b, attr);
    return success();
  }
  if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    FailureOr<Value> value = emitExtract(extract);
    if (failed(value))
      return failure();
    scalars[extract] = *value;
    return success();
  }
  if (auto index = dyn_cast<linalg::IndexOp>(op)) {
    Value value = emitIndex(index);
    if (!value)
      return fail(op, "has no value here");
    scalars[index] = value;
    return success();
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    auto view = views.find(dim.getSource());
    if (view == views.end() || !dim.getConstantIndex())
      return fail(op, "asks for a size that is not known");
    scalars[dim] = view->second.sizes[*dim.getConstantIndex()];
    return success();
  }
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    Value x = lookup(op->getOperand(0));
    Type to = convert(op->getResult(0).getType());
    unsigned from = x.getType().getIntOrFloatBitWidth();
    unsigned width = to.getIntOrFloatBitWidth();
    if (from > width && op->getResult(0).getType().isIndex()) {
      auto bound = [&](int64_t limit) -> Value {
        return arith::ConstantOp::create(b,
                                         IntegerAttr::get(x.getType(), limit));
      };
      x = arith::MaxSIOp::create(b, x,
                                 bound(std::numeric_limits<int32_t>::min()));
      x = arith::MinSIOp::create(b, x,
                                 bound(std::numeric_limits<int32_t>::max()));
    }
    if (from > width)
      x = arith::TruncIOp::create(b, to, x);
    else if (from < width && isa<arith::IndexCastOp>(op))
      x = arith::ExtSIOp::create(b, to, x);
    else if (from < width)
      x = arith::ExtUIOp::create(b, to, x);
    scalars[op->getResult(0)] = x;
    return success();
  }
  if (auto widen = dyn_cast<arith::ExtFOp>(op);
      widen && widen.getIn().getType().isBF16() && widen.getType().isF32() &&
      lookup(widen.getIn())) {
    // By its bits: a comparison of the result must not become one of bf16,
    // for which ptxas has no instruction that flushes denormals.
    Value bits = arith::BitcastOp::create(b, b.getIntegerType(16),
                                          lookup(widen.getIn()));
    bits = arith::ExtUIOp::create(b, b.getI32Type(), bits);
    bits = arith::ShLIOp::create(b, bits, constant(16));
    scalars[widen] = arith::BitcastOp::create(b, b.getF32Type(), bits);
    return success();
  }
  StringRef dialect = op->getName().getDialectNamespace();
  if ((dialect != "arith" && dialect != "math" && dialect != "ub") ||
      op->getNumRegions() || op->getNumResults() != 1)
    return fail(op, "is not an operation on scalars");
  OperationState state(op->getLoc(), op->getName());
  for (Value operand : op->getOperands()) {
    Value own = lookup(operand);
    if (!own)
      return fail(op, "reads a value that has no scalar form");
    state.addOperands(own);
  }
  bool isIndex = op->getResult(0).getType().isIndex();
  state.addTypes(convert(op->getResult(0).getType()));
  state.propertiesAttr = op->getPropertiesAsAttribute();
  state.addAttributes(llvm::to_vector(op->getDiscardableAttrs()));
  Operation *clone = b.create(state);
  // Products and sums become multiply-adds; positions never overflow.
  if (auto math = dyn_cast<arith::ArithFastMathInterface>(clone))
    if (auto flags = math.getFastMathFlagsAttr())
      clone->setAttr(math.getFastMathAttrName(),
                     arith::FastMathFlagsAttr::get(
                         b.getContext(),
                         flags.getValue() | arith::FastMathFlags::contract));
  if (isIndex && isa<arith::AddIOp, arith::SubIOp, arith::MulIOp>(clone))
    clone->setAttr("overflowFlags", arith::IntegerOverflowFlagsAttr::get(
                                        b.getContext(), noOverflow));
  scalars[op->getResult(0)] = clone->getResult(0);
  return success();
}

LogicalResult ScalarEmitter::emitBlock(Block &block) {
  for (Operation &op : block.without_terminator()) {
    b.setLoc(op.getLoc());
    if (failed(emitOp(&op)))
      return failure();
  }
  return success();
}
