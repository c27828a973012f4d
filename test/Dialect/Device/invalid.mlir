// RUN: attn-opt %s --split-input-file --verify-diagnostics

func.func @none(%y: tensor<4xf32>, %n: index) -> tensor<4xf32> {
  // expected-error@+1 {{expects a kernel of the module, but there is no @missing}}
  %r = attn_gpu.launch @missing grid(%n, %n, %n) threads 128 shared 0 outs(%y : tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}

// -----

func.func private @k(tensor<4xf32>)
func.func @threads(%y: tensor<4xf32>, %n: index) -> tensor<4xf32> {
  // expected-error@+1 {{expects 1 to 1024 threads, but there are 2048}}
  %r = attn_gpu.launch @k grid(%n, %n, %n) threads 2048 shared 0 outs(%y : tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}

// -----

func.func private @k(tensor<4xf32>)
func.func @results(%y: tensor<4xf32>, %n: index) {
  // expected-error@+1 {{expects one result for each tensor of outs, 1, but there are 0}}
  attn_gpu.launch @k grid(%n, %n, %n) threads 128 shared 0 outs(%y : tensor<4xf32>)
  return
}

// -----

func.func private @k(tensor<4xf32>)
func.func @map(%y: tensor<4xf32>, %n: index) -> tensor<4xf32> {
  // expected-error@+1 {{expects a tensor map of one of 1 operands, but it names 3}}
  %r = attn_gpu.launch @k grid(%n, %n, %n) threads 128 shared 0
    maps [{operand = 3, dims = [[0]], box = array<i64: 4>, swizzle = 0}]
    outs(%y : tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}
