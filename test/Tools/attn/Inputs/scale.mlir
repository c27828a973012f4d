// A module whose kernels are there already: y = 2 x + 1 by two launches, the
// second of which works on every other row through a view with gaps.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @twice(%x: !llvm.ptr<1>, %n: i64, %y: !llvm.ptr<1>, %m: i64)
        attributes {gpu.kernel, nvvm.kernel, nvvm.reqntid = array<i32: 128>} {
      %two = llvm.mlir.constant(2.0 : f32) : f32
      %size = llvm.mlir.constant(128 : i32) : i32
      %block = nvvm.read.ptx.sreg.ctaid.x : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %start = llvm.mul %block, %size : i32
      %index = llvm.add %start, %thread : i32
      %i = llvm.zext %index : i32 to i64
      %inside = llvm.icmp "ult" %i, %n : i64
      llvm.cond_br %inside, ^work, ^end
    ^work:
      %from = llvm.getelementptr %x[%i] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32
      %to = llvm.getelementptr %y[%i] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32
      %value = llvm.load %from : !llvm.ptr<1> -> f32
      %double = llvm.fmul %value, %two : f32
      llvm.store %double, %to : f32, !llvm.ptr<1>
      llvm.br ^end
    ^end:
      llvm.return
    }
    llvm.func @add(%y: !llvm.ptr<1>, %n: i64, %what: f32)
        attributes {gpu.kernel, nvvm.kernel, nvvm.reqntid = array<i32: 32>} {
      %size = llvm.mlir.constant(32 : i32) : i32
      %block = nvvm.read.ptx.sreg.ctaid.x : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %start = llvm.mul %block, %size : i32
      %index = llvm.add %start, %thread : i32
      %i = llvm.zext %index : i32 to i64
      %inside = llvm.icmp "ult" %i, %n : i64
      llvm.cond_br %inside, ^work, ^end
    ^work:
      %to = llvm.getelementptr %y[%i] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32
      %value = llvm.load %to : !llvm.ptr<1> -> f32
      %sum = llvm.fadd %value, %what : f32
      llvm.store %sum, %to : f32, !llvm.ptr<1>
      llvm.br ^end
    ^end:
      llvm.return
    }
  }

  func.func @main(%x: tensor<?xf32>, %what: tensor<1xf32>) -> tensor<?xf32> {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %n = tensor.dim %x, %c0 : tensor<?xf32>
    %c128 = arith.constant 128 : index
    %blocks = arith.ceildivui %n, %c128 : index
    %empty = tensor.empty(%n) : tensor<?xf32>
    %y = attn_gpu.launch @kernels::@twice grid(%blocks, %c1, %c1) threads 128 shared 0
      ins(%x : tensor<?xf32>) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
    %w = tensor.extract %what[%c0] : tensor<1xf32>
    %half = arith.ceildivui %n, %c2 : index
    %even = tensor.extract_slice %y[0] [%half] [2] : tensor<?xf32> to tensor<?xf32>
    %c32 = arith.constant 32 : index
    %few = arith.ceildivui %half, %c32 : index
    %more = attn_gpu.launch @kernels::@add grid(%few, %c1, %c1) threads 32 shared 256
      outs(%even : tensor<?xf32>) scalars(%w : f32) -> tensor<?xf32>
    %r = tensor.insert_slice %more into %y[0] [%half] [2] : tensor<?xf32> into tensor<?xf32>
    return %r : tensor<?xf32>
  }
}
