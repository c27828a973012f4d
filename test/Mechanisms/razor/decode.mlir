// One token after a compressed prompt. The first entry of the second head's cache
// stands for all dropped ones: its logit has the logarithm of their number
// added (arXiv:2407.15891, section 3.2). No entry is there for zero of them.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// The compressed head reads its own short cache only.
// CHECK-LABEL: func.func @main
// CHECK-SAME: %{{.*}}: tensor<1x4x1x16xf32> {{.*}} %[[KEPT:[a-z0-9]*]]: tensor<1x1x?x16xf32> {attn.name = "kept_k"}
// CHECK: %[[KEYS:.*]] = attn.kv_append %[[KEPT]],
// CHECK: tensor.dim %[[KEYS]]
// CHECK: math.log
// CHECK: scf.forall
func.func @main(%q: tensor<1x4x1x16xf32> {attn.name = "q"},
                %full_k: tensor<1x1x?x16xf32> {attn.name = "full_k"},
                %full_v: tensor<1x1x?x16xf32> {attn.name = "full_v"},
                %kept_k: tensor<1x1x?x16xf32> {attn.name = "kept_k"},
                %kept_v: tensor<1x1x?x16xf32> {attn.name = "kept_v"},
                %dropped: tensor<1xi64> {attn.name = "dropped"},
                %k: tensor<1x2x1x16xf32> {attn.name = "k"},
                %v: tensor<1x2x1x16xf32> {attn.name = "v"})
    -> (tensor<1x4x1x16xf32> {attn.name = "o"},
        tensor<1x1x?x16xf32> {attn.name = "kept_k_next"},
        tensor<1x1x?x16xf32> {attn.name = "kept_v_next"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %never = arith.constant 0xFF800000 : f32
  %fk = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %fv = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %ck = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %cv = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %fq = tensor.extract_slice %q[0, 0, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1]
    : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %cq = tensor.extract_slice %q[0, 2, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1]
    : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>

  %fkeys = attn.kv_append %full_k, %fk
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %fvalues = attn.kv_append %full_v, %fv
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %of = attn.attention %fq, %fkeys, %fvalues
    : tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32> -> tensor<1x2x1x16xf32>

  %keys = attn.kv_append %kept_k, %ck
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %values = attn.kv_append %kept_v, %cv
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %m = tensor.dim %keys, %c2 : tensor<1x1x?x16xf32>
  %empty = tensor.empty(%m) : tensor<1x1x1x?xf32>
  %biases = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, j) -> (b, h, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%empty : tensor<1x1x1x?xf32>) {
  ^bb0(%old: f32):
    %j = linalg.index 3 : index
    %first = arith.cmpi eq, %j, %c0 : index
    %number = tensor.extract %dropped[%c0] : tensor<1xi64>
    %real = arith.sitofp %number : i64 to f32
    %bias = math.log %real : f32
    %x = arith.select %first, %bias, %zero : f32
    linalg.yield %x : f32
  } -> tensor<1x1x1x?xf32>
  %oc = attn.attention %cq, %keys, %values bias(%biases : tensor<1x1x1x?xf32>)
    : tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32> -> tensor<1x2x1x16xf32>
  %o = tensor.concat dim(1) %of, %oc
    : (tensor<1x2x1x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x4x1x16xf32>
  return %o, %keys, %values : tensor<1x4x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>
}

// The released code counts the mean once.
// CHECK-LABEL: func.func @one
func.func @one(%q: tensor<1x4x1x16xf32> {attn.name = "q"},
                %full_k: tensor<1x1x?x16xf32> {attn.name = "full_k"},
                %full_v: tensor<1x1x?x16xf32> {attn.name = "full_v"},
                %kept_k: tensor<1x1x?x16xf32> {attn.name = "kept_k"},
                %kept_v: tensor<1x1x?x16xf32> {attn.name = "kept_v"},
                %dropped: tensor<1xi64> {attn.name = "dropped"},
                %k: tensor<1x2x1x16xf32> {attn.name = "k"},
                %v: tensor<1x2x1x16xf32> {attn.name = "v"})
    -> (tensor<1x4x1x16xf32> {attn.name = "o"},
        tensor<1x1x?x16xf32> {attn.name = "kept_k_next"},
        tensor<1x1x?x16xf32> {attn.name = "kept_v_next"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %never = arith.constant 0xFF800000 : f32
  %fk = tensor.extract_slice %k[0, 0, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %fv = tensor.extract_slice %v[0, 0, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %ck = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %cv = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x2x1x16xf32> to tensor<1x1x1x16xf32>
  %fq = tensor.extract_slice %q[0, 0, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1]
    : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>
  %cq = tensor.extract_slice %q[0, 2, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1]
    : tensor<1x4x1x16xf32> to tensor<1x2x1x16xf32>

  %fkeys = attn.kv_append %full_k, %fk
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %fvalues = attn.kv_append %full_v, %fv
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %of = attn.attention %fq, %fkeys, %fvalues
    : tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32> -> tensor<1x2x1x16xf32>

  %keys = attn.kv_append %kept_k, %ck
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %values = attn.kv_append %kept_v, %cv
    : tensor<1x1x?x16xf32>, tensor<1x1x1x16xf32> -> tensor<1x1x?x16xf32>
  %m = tensor.dim %keys, %c2 : tensor<1x1x?x16xf32>
  %empty = tensor.empty(%m) : tensor<1x1x1x?xf32>
  %biases = linalg.generic {
      indexing_maps = [affine_map<(b, h, i, j) -> (b, h, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%empty : tensor<1x1x1x?xf32>) {
  ^bb0(%old: f32):
    %j = linalg.index 3 : index
    %first = arith.cmpi eq, %j, %c0 : index
    %number = tensor.extract %dropped[%c0] : tensor<1xi64>
    %real = arith.sitofp %number : i64 to f32
    %none = arith.cmpf oeq, %real, %zero : f32
    %bias = arith.select %none, %never, %zero : f32
    %x = arith.select %first, %bias, %zero : f32
    linalg.yield %x : f32
  } -> tensor<1x1x1x?xf32>
  %oc = attn.attention %cq, %keys, %values bias(%biases : tensor<1x1x1x?xf32>)
    : tensor<1x2x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32> -> tensor<1x2x1x16xf32>
  %o = tensor.concat dim(1) %of, %oc
    : (tensor<1x2x1x16xf32>, tensor<1x2x1x16xf32>) -> tensor<1x4x1x16xf32>
  return %o, %keys, %values : tensor<1x4x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>
}

// The oldest of the recent keys joins the mean, by a running mean.
// CHECK-LABEL: func.func @absorb
func.func @absorb(%kept_k: tensor<1x1x?x16xf32> {attn.name = "kept_k"},
                  %kept_v: tensor<1x1x?x16xf32> {attn.name = "kept_v"},
                  %dropped: tensor<1xi64> {attn.name = "dropped"})
    -> (tensor<1x1x?x16xf32> {attn.name = "kept_k_next"},
        tensor<1x1x?x16xf32> {attn.name = "kept_v_next"},
        tensor<1xi64> {attn.name = "dropped_next"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : i64
  %number = tensor.extract %dropped[%c0] : tensor<1xi64>
  %more = arith.addi %number, %c1 : i64
  %next = tensor.from_elements %more : tensor<1xi64>
  %old = arith.sitofp %number : i64 to f32
  %all = arith.sitofp %more : i64 to f32
  %k = func.call @join(%kept_k, %old, %all) : (tensor<1x1x?x16xf32>, f32, f32) -> tensor<1x1x?x16xf32>
  %v = func.call @join(%kept_v, %old, %all) : (tensor<1x1x?x16xf32>, f32, f32) -> tensor<1x1x?x16xf32>
  return %k, %v, %next : tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>, tensor<1xi64>
}

func.func private @join(%x: tensor<1x1x?x16xf32>, %old: f32, %all: f32) -> tensor<1x1x?x16xf32> {
  %c2 = arith.constant 2 : index
  %c6 = arith.constant 6 : index
  %n = tensor.dim %x, %c2 : tensor<1x1x?x16xf32>
  %rest = arith.subi %n, %c6 : index
  %mean = tensor.extract_slice %x[0, 0, 0, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x1x?x16xf32> to tensor<1x1x1x16xf32>
  %sink = tensor.extract_slice %x[0, 0, 1, 0] [1, 1, 4, 16] [1, 1, 1, 1]
    : tensor<1x1x?x16xf32> to tensor<1x1x4x16xf32>
  %oldest = tensor.extract_slice %x[0, 0, 5, 0] [1, 1, 1, 16] [1, 1, 1, 1]
    : tensor<1x1x?x16xf32> to tensor<1x1x1x16xf32>
  %recent = tensor.extract_slice %x[0, 0, 6, 0] [1, 1, %rest, 16] [1, 1, 1, 1]
    : tensor<1x1x?x16xf32> to tensor<1x1x?x16xf32>
  %empty = tensor.empty() : tensor<1x1x1x16xf32>
  %new = linalg.map ins(%mean, %oldest : tensor<1x1x1x16xf32>, tensor<1x1x1x16xf32>)
    outs(%empty : tensor<1x1x1x16xf32>)
    (%a: f32, %b: f32, %out: f32) {
      %sum = arith.mulf %a, %old : f32
      %total = arith.addf %sum, %b : f32
      %y = arith.divf %total, %all : f32
      linalg.yield %y : f32
    }
  %y = tensor.concat dim(2) %new, %sink, %recent
    : (tensor<1x1x1x16xf32>, tensor<1x1x4x16xf32>, tensor<1x1x?x16xf32>) -> tensor<1x1x?x16xf32>
  return %y : tensor<1x1x?x16xf32>
}
