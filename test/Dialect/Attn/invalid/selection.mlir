// RUN: attn-opt %s --split-input-file --verify-diagnostics

func.func @no_bound(%s: tensor<4x9xf32>) {
  // expected-error @below {{'attn.top_k' op expects 'bound' to be given by 'top_p'}}
  %0:2 = attn.top_k %s by top_p : tensor<4x9xf32> -> tensor<4x3xi32>, tensor<4xi32>
  return
}

// -----

func.func @bound_without_use(%s: tensor<4x9xf32>) {
  // expected-error @below {{'attn.top_k' op expects 'bound' to be absent by 'count'}}
  %0:2 = attn.top_k %s {bound = 0.5} : tensor<4x9xf32> -> tensor<4x3xi32>, tensor<4xi32>
  return
}

// -----

func.func @share(%s: tensor<4x9xf32>) {
  // expected-error @below {{'attn.top_k' op expects 'bound' to be a share from 0 to 1 by 'mass', but it is 1.5}}
  %0:2 = attn.top_k %s by mass {bound = 1.5} : tensor<4x9xf32> -> tensor<4x3xi32>, tensor<4xi32>
  return
}

// -----

func.func @rows(%s: tensor<4x9xf32>) {
  // expected-error @below {{'attn.top_k' op expects dimension 0 of 'indices' to be equal to dimension 0 of 'scores', but they are 5 and 4}}
  %0:2 = attn.top_k %s : tensor<4x9xf32> -> tensor<5x3xi32>, tensor<4xi32>
  return
}

// -----

func.func @limits(%s: tensor<4x9xf32>, %l: tensor<3xi32>) {
  // expected-error @below {{'attn.top_k' op expects dimension 0 of 'limits' to be 1 or equal to dimension 0 of 'scores', but they are 3 and 4}}
  %0:2 = attn.top_k %s limits(%l : tensor<3xi32>) : tensor<4x9xf32> -> tensor<4x3xi32>, tensor<4xi32>
  return
}

// -----

func.func @no_capacity(%s: tensor<4x9xf32>) {
  // expected-error @below {{'attn.top_k' op expects 'capacity' exactly when the last dimension of 'indices' is dynamic, but it is absent and the dimension is dynamic}}
  %0:2 = attn.top_k %s : tensor<4x9xf32> -> tensor<4x?xi32>, tensor<4xi32>
  return
}

// -----

func.func @negative_force(%s: tensor<4x9xf32>) {
  // expected-error @below {{'attn.top_k' op expects 'forced_first' to be at least 0, but it is -1}}
  %0:2 = attn.top_k %s {forced_first = -1} : tensor<4x9xf32> -> tensor<4x3xi32>, tensor<4xi32>
  return
}

// -----

func.func @no_router(%x: tensor<1x4x8xf32>) {
  // expected-error @below {{'attn.route_heads' op expects 'routed' exactly for the kind 'linear', but the kind is 'linear'}}
  %0 = attn.route_heads linear %x {top_k = 1} : tensor<1x4x8xf32> -> tensor<1x4x8xf32>
  return
}

// -----

func.func @too_many_heads(%x: tensor<1x4x8xf32>) {
  // expected-error @below {{'attn.route_heads' op expects at most as many routed heads as there are, but they are 8 and 6}}
  %0 = attn.route_heads logits %x {top_k = 1} : tensor<1x4x8xf32> -> tensor<1x4x6xf32>
  return
}

// -----

func.func @shared_heads(%x: tensor<1x4x8xf32>, %s: tensor<1x4x3xf32>) {
  // expected-error @below {{'attn.route_heads' op expects dimension 2 of 'shared' to be 2, the heads that are not routed, but it is 3}}
  %0 = attn.route_heads logits %x shared(%s : tensor<1x4x3xf32>) {top_k = 1} : tensor<1x4x8xf32> -> tensor<1x4x10xf32>
  return
}

// -----

func.func @weights_of_norms(%x: tensor<1x8x4x8xf32>, %s: tensor<2x8xf32>) {
  // expected-error @below {{'attn.route_heads' op expects neither 'shared' nor 'alpha' for the kind 'qnorm', which has no weights for them}}
  %0 = attn.route_heads qnorm %x alpha(%s : tensor<2x8xf32>) {top_k = 1} : tensor<1x8x4x8xf32> -> tensor<1x4x8xf32>
  return
}

// -----

func.func @listed(%g: tensor<1x4x8xf32>) {
  // expected-error @below {{'attn.list_rows' op expects dimension 1 of 'rows' to be equal to dimension 2 of 'gates', but they are 4 and 8}}
  %0:3 = attn.list_rows %g : tensor<1x4x8xf32> -> tensor<1x4x8xi32>, tensor<1x8xi32>, tensor<1x8x4xf32>
  return
}

// -----

func.func @no_parts(%x: tensor<1x4x8x4xf32>) {
  // expected-error @below {{'attn.pool' op expects either 'block' or 'bounds', but both are absent}}
  %0 = attn.pool max %x : tensor<1x4x8x4xf32> -> tensor<1x4x2x4xf32>
  return
}

// -----

func.func @blocks(%x: tensor<1x4x9x4xf32>) {
  // expected-error @below {{'attn.pool' op expects dimension 2 of 'output' to be 3, the number of blocks, but it is 2}}
  %0 = attn.pool max %x {block = 4} : tensor<1x4x9x4xf32> -> tensor<1x4x2x4xf32>
  return
}

// -----

func.func @cuts(%x: tensor<1x9xf32>) {
  // expected-error @below {{'attn.segment' op expects dimension 1 of 'bounds' to be 6, 'max_cuts' and both ends, but it is 5}}
  %0:2 = attn.segment %x {threshold = 0.0, distance = 1, max_cuts = 4} : tensor<1x9xf32> -> tensor<1x5xi32>, tensor<1xi32>
  return
}

// -----

func.func @two_numbers_of_cuts(%x: tensor<1x9xf32>, %n: index) {
  // expected-error @below {{'attn.segment' op expects either 'max_cuts' or an operand 'cuts', but there are both}}
  %0:2 = attn.segment %x cuts(%n) {threshold = 0.0, distance = 1, max_cuts = 4} : tensor<1x9xf32> -> tensor<1x6xi32>, tensor<1xi32>
  return
}

// -----

func.func @no_number_of_cuts(%x: tensor<1x9xf32>) {
  // expected-error @below {{'attn.segment' op expects either 'max_cuts' or an operand 'cuts', but there are none}}
  %0:2 = attn.segment %x {threshold = 0.0, distance = 1} : tensor<1x9xf32> -> tensor<1x6xi32>, tensor<1xi32>
  return
}

// -----

func.func @static_bounds(%x: tensor<1x9xf32>, %n: index) {
  // expected-error @below {{'attn.segment' op expects dimension 1 of 'bounds' to be dynamic with 'cuts', but it is 6; cast the result}}
  %0:2 = attn.segment %x cuts(%n) {threshold = 0.0, distance = 1} : tensor<1x9xf32> -> tensor<1x6xi32>, tensor<1xi32>
  return
}

// -----

func.func @gathered(%x: tensor<1x4x9x4xf32>, %r: tensor<1x3x2xi32>) {
  // expected-error @below {{'attn.gather_rows' op expects dimension 1 of 'rows' to be 1 or equal to dimension 1 of 'input', but they are 3 and 4}}
  %0 = attn.gather_rows %x, %r : tensor<1x4x9x4xf32>, tensor<1x3x2xi32> -> tensor<1x4x2x4xf32>
  return
}

// -----

func.func @anchors(%q: tensor<1x8x4x16xf32>, %k: tensor<1x3x4x16xf32>, %t: tensor<4xi32>) {
  // expected-error @below {{'attn.span_search' op expects kv_heads to divide heads, but dimension 1 of 'key' is 3 and dimension 1 of 'query' is 8}}
  %0:2 = attn.span_search %q, %k, %t : tensor<1x8x4x16xf32>, tensor<1x3x4x16xf32>, tensor<4xi32> -> tensor<1x8x4x2xi32>, tensor<1x8x4x2xf32>
  return
}

// -----

func.func @backward(%a: tensor<1x8x4x2xi32>) {
  // expected-error @below {{'attn.span_bounds' op expects 'backward' to be finite and not negative, but it is -1}}
  %0:2 = attn.span_bounds %a {backward = -1.0, forward = 1.0, power = 0.5} : tensor<1x8x4x2xi32>
  return
}

// -----

func.func @spans(%q: tensor<1x8x4x16xf32>, %b: tensor<1x8x5x2xi32>, %l: tensor<1x8x5x2xf32>) {
  // expected-error @below {{'attn.span_attention' op expects dimension 2 of 'begins' to be equal to dimension 2 of 'query', but they are 5 and 4}}
  %0 = attn.span_attention %q, %q, %q spans(%b, %b, %l : tensor<1x8x5x2xi32>, tensor<1x8x5x2xf32>) {window = 1} : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32> -> tensor<1x8x4x16xf32>
  return
}

// -----

func.func @importance(%q: tensor<1x8x4x16xf32>, %l: tensor<1x8x4xf32>) {
  // expected-error @below {{'attn.key_importance' op expects the rows to be reduced by 'sum' or 'max'}}
  %0 = attn.key_importance each, sum %q, %q, %l : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4xf32> -> tensor<1x8x4xf32>
  return
}

// -----

func.func @importance_rows(%q: tensor<1x8x4x16xf32>, %r: tensor<1x3x5xi32>, %n: tensor<1x3xi32>) {
  // expected-error @below {{'attn.key_importance' op expects dimension 1 of 'row_list' to be 1 or equal to dimension 1 of 'query', but they are 3 and 8}}
  %0 = attn.key_importance sum, sum %q, %q routing(%r, %n : tensor<1x3x5xi32>, tensor<1x3xi32>) : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32> -> tensor<1x8x4xf32>
  return
}

// -----

func.func @importance_lse(%q: tensor<1x8x4x16xf32>, %l: tensor<1x8x4xf32>, %r: tensor<1x1x5xi32>, %n: tensor<1x1xi32>) {
  // expected-error @below {{'attn.key_importance' op expects dimension 2 of 'lse' to be equal to dimension 2 of 'row_list', but they are 4 and 5}}
  %0 = attn.key_importance sum, sum %q, %q, %l routing(%r, %n : tensor<1x1x5xi32>, tensor<1x1xi32>) : tensor<1x8x4x16xf32>, tensor<1x8x4x16xf32>, tensor<1x8x4xf32> -> tensor<1x8x4xf32>
  return
}
