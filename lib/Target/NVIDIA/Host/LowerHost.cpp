//===- LowerHost.cpp - Launches and device memory become calls ------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CallEmitter.h"
#include "attn/Dialect/Device/IR/DeviceDialect.h"
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "attn/Runtime/attn_runtime.h"
#include "attn/Target/NVIDIA/HostPasses.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::attn {
#define GEN_PASS_DEF_ATTNGPULOWERHOSTPASS
#include "attn/Target/NVIDIA/HostPasses.h.inc"

namespace {

/// ONNX's code of an element type; 0 for one that has none.
int32_t dataTypeCode(Type type) {
  if (type.isF32())
    return ATTN_RT_FLOAT32;
  if (type.isF16())
    return ATTN_RT_FLOAT16;
  if (type.isBF16())
    return ATTN_RT_BFLOAT16;
  if (type.isF64())
    return ATTN_RT_FLOAT64;
  if (type.isIndex())
    return ATTN_RT_INT64;
  if (!type.isIntOrIndex())
    return 0;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return ATTN_RT_BOOL;
  case 8:
    return ATTN_RT_INT8;
  case 16:
    return ATTN_RT_INT16;
  case 32:
    return ATTN_RT_INT32;
  case 64:
    return ATTN_RT_INT64;
  default:
    return 0;
  }
}

/// Whether the type alone says that elements are contiguous and in order.
bool isDense(MemRefType type) {
  if (type.getLayout().isIdentity())
    return true;
  SmallVector<int64_t> strides;
  int64_t offset, expected = 1;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return false;
  for (int64_t i = type.getRank(); i-- > 0;) {
    if (type.getDimSize(i) != 1 && strides[i] != expected)
      return false;
    if (ShapedType::isDynamic(type.getDimSize(i)))
      return llvm::all_of(llvm::seq<int64_t>(0, i), [&](int64_t outer) {
        return type.getDimSize(outer) == 1;
      });
    expected *= type.getDimSize(i);
  }
  return true;
}

/// An operand of a launch: its buffer, or a dense copy while the kernel runs.
/// Whether a view is dense, and aligned as kernels want it, is seen at run
/// time only.
class Operand {
public:
  Operand(CallEmitter &calls, Value buffer, bool isWritten)
      : calls(calls), buffer(buffer), isWritten(isWritten),
        isCopied(!cast<MemRefType>(buffer.getType()).getLayout().isIdentity()) {
    auto type = cast<MemRefType>(buffer.getType());
    sizes = calls.sizes(buffer);
    address = calls.addressAsI64(buffer);
    if (!isCopied)
      return;
    SmallVector<Value> strideWords, sizeWords;
    for (OpFoldResult stride : calls.strides(buffer))
      strideWords.push_back(calls.toI64(stride));
    for (OpFoldResult size : sizes)
      sizeWords.push_back(calls.toI64(size));
    auto pointer = LLVM::LLVMPointerType::get(calls.builder.getContext());
    original = {calls.toPointer(address), calls.array(strideWords),
                calls.array(sizeWords), calls.constant(type.getRank(), 32),
                calls.constant(elementBytes(type))};
    dense = calls.call("attn_gpu_make_dense", original, pointer);
    address = LLVM::PtrToIntOp::create(calls.builder, calls.loc,
                                       calls.builder.getI64Type(), dense);
  }

  /// After the launch.
  void finish() {
    if (!isCopied)
      return;
    SmallVector<Value> arguments = {dense};
    llvm::append_range(arguments, original);
    arguments.push_back(calls.constant(isWritten, 32));
    calls.call("attn_gpu_end_dense", arguments);
  }

  MemRefType getType() const { return cast<MemRefType>(buffer.getType()); }

  Value address; ///< i64
  SmallVector<OpFoldResult> sizes;

private:
  CallEmitter &calls;
  Value buffer, dense;
  SmallVector<Value> original;
  bool isWritten, isCopied;
};

struct AttnGpuLowerHostPass final
    : impl::AttnGpuLowerHostPassBase<AttnGpuLowerHostPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    numberKernels();
    SmallVector<Operation *> work;
    bool isKnown = true;
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](Operation *op) {
        if (isa<device::LaunchOp, rt::WeightBufferOp, memref::CopyOp,
                memref::LoadOp, memref::StoreOp, memref::GetGlobalOp>(op)) {
          work.push_back(op);
        } else if (isa<linalg::LinalgOp>(op) ||
                   isa<vector::VectorDialect>(op->getDialect())) {
          op->emitOpError("has no kernel on this target");
          isKnown = false;
        }
      });
    if (!isKnown)
      return signalPassFailure();
    for (Operation *op : work)
      if (failed(lower(op)))
        return signalPassFailure();
    for (auto kernels : llvm::to_vector(module.getOps<gpu::GPUModuleOp>()))
      kernels.erase();
  }

  void numberKernels() {
    for (auto kernels : getOperation().getOps<gpu::GPUModuleOp>())
      for (Operation &op : *kernels.getBody()) {
        if (!op.hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()))
          continue;
        auto name = SymbolTable::getSymbolName(&op);
        numbers.try_emplace(name, static_cast<int64_t>(numbers.size()));
      }
  }

  LogicalResult lower(Operation *op) {
    CallEmitter calls(op);
    return TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](device::LaunchOp op) { return lower(calls, op); })
        .Case([&](rt::WeightBufferOp op) {
          Value index = calls.constant(static_cast<int64_t>(op.getIndex()));
          Value address = calls.call("attn_gpu_weight", index, pointerType());
          return replace(calls, op, address);
        })
        .Case([&](memref::GetGlobalOp op) {
          // The copy on the host stays as the source of the first use.
          Value host = calls.builder.clone(*op)->getResult(0);
          auto type = cast<MemRefType>(op.getType());
          Value bytes =
              calls.constant(type.getNumElements() * elementBytes(type));
          Value address = calls.call(
              "attn_gpu_constant", {calls.address(host), bytes}, pointerType());
          return replace(calls, op, address);
        })
        .Case([&](memref::CopyOp op) { return lower(calls, op); })
        .Case([&](memref::LoadOp op) {
          auto [address, bytes] =
              element(calls, op.getMemRef(), op.getIndices());
          Value place = calls.scratch(8, 8);
          calls.call("attn_gpu_read", {place, address, bytes});
          Type type = op.getType().isIndex() ? calls.builder.getI64Type()
                                             : op.getType();
          // A bool takes a byte.
          bool isBool = type.isInteger(1);
          if (isBool)
            type = calls.builder.getI8Type();
          Value value =
              LLVM::LoadOp::create(calls.builder, calls.loc, type, place);
          if (isBool)
            value = arith::TruncIOp::create(calls.builder, calls.loc,
                                            op.getType(), value);
          if (op.getType().isIndex())
            value = arith::IndexCastOp::create(calls.builder, calls.loc,
                                               op.getType(), value);
          op.replaceAllUsesWith(value);
          op.erase();
          return success();
        })
        .Case([&](memref::StoreOp op) {
          auto [address, bytes] =
              element(calls, op.getMemRef(), op.getIndices());
          Value place = calls.array(toWord(calls, op.getValueToStore()));
          calls.call("attn_gpu_write", {address, place, bytes});
          op.erase();
          return success();
        })
        .Default([](Operation *) { return failure(); });
  }

  Type pointerType() { return LLVM::LLVMPointerType::get(&getContext()); }

  /// Lets the uses of `op` read the static buffer at `address`.
  LogicalResult replace(CallEmitter &calls, Operation *op, Value address) {
    LLVMTypeConverter converter(&getContext());
    auto type = cast<MemRefType>(op->getResult(0).getType());
    Value descriptor = MemRefDescriptor::fromStaticShape(
        calls.builder, calls.loc, converter, type, address);
    op->replaceAllUsesWith(UnrealizedConversionCastOp::create(
        calls.builder, calls.loc, type, descriptor));
    op->erase();
    return success();
  }

  /// Address and bytes of an element.
  std::pair<Value, Value> element(CallEmitter &calls, Value buffer,
                                  ValueRange indices) {
    auto type = cast<MemRefType>(buffer.getType());
    OpBuilder &builder = calls.builder;
    AffineExpr s0, s1, s2;
    bindSymbols(builder.getContext(), s0, s1, s2);
    OpFoldResult offset = builder.getIndexAttr(0);
    SmallVector<OpFoldResult> strides;
    if (type.getRank() > 0)
      strides = calls.strides(buffer);
    for (auto [index, stride] : llvm::zip(indices, strides))
      offset = affine::makeComposedFoldedAffineApply(
          builder, calls.loc, s0 + s1 * s2, {offset, index, stride});
    Value bytes = calls.constant(elementBytes(type));
    Value shift =
        arith::MulIOp::create(builder, calls.loc, calls.toI64(offset), bytes);
    Value address = arith::AddIOp::create(builder, calls.loc,
                                          calls.addressAsI64(buffer), shift);
    return {calls.toPointer(address), bytes};
  }

  /// The bits of a scalar in the low end of an i64.
  Value toWord(CallEmitter &calls, Value value) {
    Type type = value.getType();
    if (isa<FloatType>(type))
      value = arith::BitcastOp::create(
          calls.builder, calls.loc,
          calls.builder.getIntegerType(type.getIntOrFloatBitWidth()), value);
    return calls.toI64(value);
  }

  LogicalResult lower(CallEmitter &calls, memref::CopyOp op) {
    Value from = op.getSource(), to = op.getTarget();
    auto type = cast<MemRefType>(to.getType());
    if (isDense(type) && isDense(cast<MemRefType>(from.getType()))) {
      Value bytes = calls.constant(elementBytes(type));
      for (OpFoldResult size : calls.sizes(to))
        bytes = arith::MulIOp::create(calls.builder, calls.loc, bytes,
                                      calls.toI64(size));
      constexpr int64_t deviceToDevice = 2;
      calls.call("attn_gpu_copy", {calls.address(to), calls.address(from),
                                   bytes, calls.constant(deviceToDevice, 32)});
    } else {
      auto words = [&](ArrayRef<OpFoldResult> values) {
        return calls.array(llvm::map_to_vector(
            values, [&](OpFoldResult value) { return calls.toI64(value); }));
      };
      calls.call("attn_gpu_copy_strided",
                 {calls.address(to), words(calls.strides(to)),
                  calls.address(from), words(calls.strides(from)),
                  words(calls.sizes(to)), calls.constant(type.getRank(), 32),
                  calls.constant(elementBytes(type))});
    }
    op.erase();
    return success();
  }

  LogicalResult lower(CallEmitter &calls, device::LaunchOp op) {
    auto found = numbers.find(op.getKernelAttr().getLeafReference());
    if (found == numbers.end())
      return op.emitOpError("names ")
             << op.getKernelAttr() << ", which is no kernel of the gpu module";
    SmallVector<Operand> operands;
    operands.reserve(op.getIns().size() + op.getOuts().size());
    for (Value buffer : op.getIns())
      operands.emplace_back(calls, buffer, /*isWritten=*/false);
    for (Value buffer : op.getOuts())
      operands.emplace_back(calls, buffer, /*isWritten=*/true);

    SmallVector<Value> words;
    for (Operand &operand : operands) {
      words.push_back(operand.address);
      for (OpFoldResult size : operand.sizes)
        if (isa<Value>(size))
          words.push_back(calls.toI64(size));
    }
    for (Value scalar : op.getScalars())
      words.push_back(toWord(calls, scalar));
    // A parameter is passed by its address.
    Value first = calls.array(words);
    Type i64 = calls.builder.getI64Type();
    Value base = LLVM::PtrToIntOp::create(calls.builder, calls.loc, i64, first);
    SmallVector<Value> params;
    for (size_t i = 0; i < words.size(); ++i)
      params.push_back(
          arith::AddIOp::create(calls.builder, calls.loc, base,
                                calls.constant(static_cast<int64_t>(8 * i))));
    if (auto maps = op.getTensorMaps())
      for (auto map : maps->getAsRange<DictionaryAttr>()) {
        FailureOr<Value> place = emitTensorMap(calls, op, operands, map);
        if (failed(place))
          return failure();
        params.push_back(
            LLVM::PtrToIntOp::create(calls.builder, calls.loc, i64, *place));
      }
    calls.call("attn_gpu_launch",
               {calls.constant(found->second, 32), calls.toI64(op.getGridX()),
                calls.toI64(op.getGridY()), calls.toI64(op.getGridZ()),
                calls.constant(static_cast<int64_t>(op.getThreads())),
                calls.constant(static_cast<int64_t>(op.getSharedBytes())),
                calls.array(params),
                calls.constant(static_cast<int64_t>(params.size()), 32)});
    for (Operand &operand : operands)
      operand.finish();
    op.erase();
    return success();
  }

  /// The 128 bytes of a tensor map on the stack.
  FailureOr<Value> emitTensorMap(CallEmitter &calls, device::LaunchOp op,
                                 ArrayRef<Operand> operands,
                                 DictionaryAttr map) {
    const Operand &operand =
        operands[map.getAs<IntegerAttr>("operand").getInt()];
    MemRefType type = operand.getType();
    auto box = map.getAs<DenseI64ArrayAttr>("box").asArrayRef();
    auto dims = map.getAs<ArrayAttr>("dims").getValue();
    if (dims.size() != box.size())
      return op.emitOpError("expects a box of ")
             << dims.size() << " sizes, one for each dimension of its map";
    OpBuilder &builder = calls.builder;
    AffineExpr s0, s1;
    bindSymbols(builder.getContext(), s0, s1);
    auto multiply = [&](OpFoldResult a, OpFoldResult b) {
      return affine::makeComposedFoldedAffineApply(builder, calls.loc, s0 * s1,
                                                   {a, b});
    };
    SmallVector<Value> sizes, strides;
    for (Attribute entry : dims) {
      // One dimension, or several that follow each other in memory.
      SmallVector<int64_t> merged;
      if (auto list = dyn_cast<ArrayAttr>(entry))
        for (auto number : list.getAsRange<IntegerAttr>())
          merged.push_back(number.getInt());
      else if (auto list = dyn_cast<DenseI64ArrayAttr>(entry))
        merged.assign(list.asArrayRef().begin(), list.asArrayRef().end());
      else
        merged.push_back(cast<IntegerAttr>(entry).getInt());
      OpFoldResult size = builder.getIndexAttr(1);
      int64_t fastest = 0;
      for (int64_t dim : merged) {
        if (dim < 0 || dim >= type.getRank())
          return op.emitOpError("expects dimensions of a tensor of rank ")
                 << type.getRank() << ", but a map names " << dim;
        size = multiply(size, operand.sizes[dim]);
        fastest = std::max(fastest, dim);
      }
      OpFoldResult stride = builder.getIndexAttr(elementBytes(type));
      for (int64_t dim = fastest + 1; dim < type.getRank(); ++dim)
        stride = multiply(stride, operand.sizes[dim]);
      sizes.push_back(calls.toI64(size));
      strides.push_back(calls.toI64(stride));
    }
    Value place = calls.scratch(128, 64);
    calls.call(
        "attn_gpu_tensor_map",
        {place, calls.toPointer(operand.address),
         calls.constant(dataTypeCode(type.getElementType()), 32),
         calls.constant(static_cast<int64_t>(sizes.size()), 32),
         calls.array(sizes), calls.array(ValueRange(strides).drop_front()),
         calls.array32(box),
         calls.constant(map.getAs<IntegerAttr>("swizzle").getInt(), 32)});
    return place;
  }

  llvm::DenseMap<StringAttr, int64_t> numbers;
};

} // namespace
} // namespace mlir::attn
