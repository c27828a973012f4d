//===- DeviceOps.td - What the host asks of a device ----------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_DEVICE_OPS_TD
#define ATTN_DEVICE_OPS_TD

include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def AttnGPU_Dialect : Dialect {
  let name = "attn_gpu";
  let cppNamespace = "::mlir::attn::device";
  let summary = "what the host asks of a device";
  let description = [{
    The host's side of kernels: launches, on tensors until bufferization and
    then on buffers in the device's memory.
  }];
}

class AttnGPU_Op<string mnemonic, list<Trait> traits = []>
    : Op<AttnGPU_Dialect, mnemonic, traits>;

def AttnGPU_TensorOrBuffer
    : AnyTypeOf<[AnyRankedTensor, AnyMemRef]>;

def AttnGPU_LaunchOp : AttnGPU_Op<"launch", [
    AttrSizedOperandSegments, DestinationStyleOpInterface,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs a kernel on the device";
  let description = [{
    Runs `kernel` for a grid of blocks of `threads` threads. Each block has
    `shared_bytes` bytes of dynamic shared memory. The kernel reads `ins`,
    reads and writes `outs`, and takes `scalars` by value. On tensors there is
    one result for each of `outs`, on buffers none.

    `kernel` names a function on tensors until kernels are lowered, then the
    `gpu.func` `@module::@kernel`. The parameters of that are, in order: for
    each of `ins`, then `outs`: a pointer and then its dynamic sizes as i64
    (elements are contiguous, in row-major order), then `scalars` (an `index`
    is an i64), then one tensor map of 128 bytes for each entry of
    `tensor_maps`, by value.

    An entry of `tensor_maps` is a dictionary: `operand` (number among `ins`
    and `outs`), `dims` (of the operand, fastest first; a list of lists, whose
    inner lists are merged into one dimension of the map), `box` (elements) and
    `swizzle` (bytes: 0, 32, 64 or 128).

    Example:
    ```mlir
    func.func private @double(tensor<?xf32>, tensor<?xf32>, index)
    func.func @main(%x: tensor<?xf32>, %y: tensor<?xf32>, %n: index)
        -> tensor<?xf32> {
      %c1 = arith.constant 1 : index
      %r = attn_gpu.launch @double grid(%n, %c1, %c1) threads 128 shared 0
        ins(%x : tensor<?xf32>) outs(%y : tensor<?xf32>) scalars(%n : index)
        -> tensor<?xf32>
      return %r : tensor<?xf32>
    }
    ```
  }];
  let arguments = (ins SymbolRefAttr:$kernel, Index:$gridX, Index:$gridY,
                       Index:$gridZ, Variadic<AttnGPU_TensorOrBuffer>:$ins,
                       Variadic<AttnGPU_TensorOrBuffer>:$outs,
                       Variadic<AnyTypeOf<[AnySignlessIntegerOrIndex, AnyFloat]>>:$scalars,
                       I64Attr:$threads, I64Attr:$shared_bytes,
                       OptionalAttr<ArrayAttr>:$tensor_maps);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $kernel `grid` `(` $gridX `,` $gridY `,` $gridZ `)`
    `threads` custom<Number>($threads) `shared` custom<Number>($shared_bytes)
    (`maps` $tensor_maps^)?
    (`ins` `(` $ins^ `:` type($ins) `)`)?
    (`outs` `(` $outs^ `:` type($outs) `)`)?
    (`scalars` `(` $scalars^ `:` type($scalars) `)`)?
    attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
  let hasVerifier = 1;
}

#endif // ATTN_DEVICE_OPS_TD
