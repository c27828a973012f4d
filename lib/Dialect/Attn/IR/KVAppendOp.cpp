//===- KVAppendOp.cpp - New keys or values join a cache -------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::attn;

static bool known(int64_t size) { return !ShapedType::isDynamic(size); }

LogicalResult KVAppendOp::verify() {
  auto cache = cast<RankedTensorType>(getCache().getType());
  auto update = cast<RankedTensorType>(getUpdate().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  for (RankedTensorType type : {update, result})
    if (type.getElementType() != cache.getElementType())
      return emitOpError("expects one element type, but 'cache' has ")
             << cache.getElementType() << " and another operand or the result "
             << type.getElementType();
  for (unsigned i : {0u, 1u, 3u}) {
    int64_t size = cache.getDimSize(i);
    for (auto [type, name] :
         {std::pair(update, "update"), std::pair(result, "result")})
      // A pool of pages belongs to no batch entry.
      if ((i != 0 || type != update || !getPageTable()) && known(size) &&
          known(type.getDimSize(i)) && size != type.getDimSize(i))
        return emitOpError("expects dimension ")
               << i << " of 'cache' and '" << name
               << "' to be equal, but they are " << size << " and "
               << type.getDimSize(i);
  }
  if (getPageTable()) {
    auto table = cast<RankedTensorType>(getPageTable().getType());
    int64_t batch = update.getDimSize(0);
    if (!getAt())
      return emitOpError("expects 'at' with 'page_table'; pages have a fixed "
                         "number of rows and do not grow");
    if (!known(cache.getDimSize(2)) || cache.getDimSize(2) == 0)
      return emitOpError("expects a static page size of at least 1 with "
                         "'page_table', but dimension 2 of 'cache' is ")
             << (known(cache.getDimSize(2)) ? "0" : "dynamic")
             << "; cast the pool of pages";
    if (known(batch) && known(table.getDimSize(0)) &&
        batch != table.getDimSize(0))
      return emitOpError("expects dimension 0 of 'update' and 'page_table' to "
                         "be equal, but they are ")
             << batch << " and " << table.getDimSize(0);
  }
  int64_t length = cache.getDimSize(2), added = update.getDimSize(2);
  int64_t total = result.getDimSize(2);
  if (getAt()) {
    auto at = cast<RankedTensorType>(getAt().getType());
    if (known(at.getDimSize(0)) && known(update.getDimSize(0)) &&
        at.getDimSize(0) != update.getDimSize(0))
      return emitOpError("expects one index 'at' for each batch entry, but "
                         "there are ")
             << at.getDimSize(0) << " indices and the batch size is "
             << update.getDimSize(0);
    int64_t own = at.getRank() == 2 ? at.getDimSize(1) : 1;
    int64_t heads = cache.getDimSize(1);
    if (known(own) && known(heads) && (own == 0 || heads % own != 0))
      return emitOpError("expects dimension 1 of 'at' to divide the ")
             << heads << " heads of 'cache', but it is " << own
             << "; give one row for each head, or for consecutive heads";
    if (known(length) && known(total) && length != total)
      return emitOpError("expects a result of the cache's length ")
             << length << " when 'at' is given, but its dimension 2 is "
             << total;
    return success();
  }
  if (getMode() != CacheMode::Linear)
    return emitOpError("expects 'at' when 'mode' is circular; a cache without "
                       "'at' grows and never wraps");
  if (known(length) && known(added) && known(total) && length + added != total)
    return emitOpError("expects a result of length ")
           << length + added << ", the sum of " << length << " and " << added
           << ", but its dimension 2 is " << total;
  return success();
}

LogicalResult
KVAppendOp::reifyResultShapes(OpBuilder &builder,
                              ReifiedRankedShapedTypeDims &reifiedShapes) {
  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(builder, getLoc(), getCache());
  if (!getAt()) {
    OpFoldResult added =
        tensor::getMixedSize(builder, getLoc(), getUpdate(), 2);
    shape[2] = IndexMath(builder, getLoc()).add(shape[2], added);
  }
  reifiedShapes.push_back(shape);
  return success();
}

OpFoldResult KVAppendOp::fold(FoldAdaptor) {
  // An empty cache adds nothing, an empty update changes nothing.
  auto cache = cast<RankedTensorType>(getCache().getType());
  auto update = cast<RankedTensorType>(getUpdate().getType());
  if (!getAt() && cache.getDimSize(2) == 0 &&
      getUpdate().getType() == getResult().getType())
    return getUpdate();
  if (update.getDimSize(2) == 0 &&
      getCache().getType() == getResult().getType())
    return getCache();
  return {};
}
