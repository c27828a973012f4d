//===- Bufferization.cpp - attn_gpu operations on buffers -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Device/IR/DeviceDialect.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/DialectRegistry.h"

using namespace mlir;
using namespace mlir::attn::device;
using namespace mlir::bufferization;

namespace {

struct LaunchModel
    : DstBufferizableOpInterfaceExternalModel<LaunchModel, LaunchOp> {
  // A kernel may leave parts of its outs as they were.
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return true;
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    rewriter.setInsertionPoint(op);
    auto launch = cast<LaunchOp>(op);
    SmallVector<Value> operands, outs;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<TensorType>(operand.get().getType())) {
        operands.push_back(operand.get());
        continue;
      }
      FailureOr<Value> buffer =
          getBuffer(rewriter, operand.get(), options, state);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
      if (launch.isDpsInit(&operand))
        outs.push_back(*buffer);
    }
    OperationState created(op->getLoc(), op->getName());
    created.addOperands(operands);
    created.addAttributes(op->getAttrDictionary().getValue());
    created.propertiesAttr = op->getPropertiesAsAttribute();
    rewriter.create(created);
    replaceOpWithBufferizedValues(rewriter, op, outs);
    return success();
  }
};

} // namespace

void mlir::attn::device::registerBufferizationModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, AttnGPUDialect *) {
    LaunchOp::attachInterface<LaunchModel>(*context);
  });
}
