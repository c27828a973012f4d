//===- Bufferization.cpp - attn_rt operations on buffers ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Runtime/IR/RuntimeDialect.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/IR/DialectRegistry.h"

using namespace mlir;
using namespace mlir::attn::rt;
using namespace mlir::bufferization;

namespace {

/// An operation that writes its last operand.
template <typename OpTy>
struct CallModel
    : DstBufferizableOpInterfaceExternalModel<CallModel<OpTy>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    auto call = cast<OpTy>(op);
    if constexpr (std::is_same_v<OpTy, MatmulOp>)
      if (call.getAccumulate())
        return true;
    return !call.isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    rewriter.setInsertionPoint(op);
    SmallVector<Value> buffers;
    for (Value operand : op->getOperands()) {
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      buffers.push_back(*buffer);
    }
    Value out = buffers.back();
    OperationState created(op->getLoc(), op->getName());
    created.addOperands(buffers);
    created.addAttributes(op->getAttrDictionary().getValue());
    created.propertiesAttr = op->getPropertiesAsAttribute();
    rewriter.create(created);
    replaceOpWithBufferizedValues(rewriter, op, out);
    return success();
  }
};

} // namespace

void mlir::attn::rt::registerBufferizationModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, AttnRTDialect *) {
    MatmulOp::attachInterface<CallModel<MatmulOp>>(*context);
    ConvOp::attachInterface<CallModel<ConvOp>>(*context);
  });
}
