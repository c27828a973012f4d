// RUN: attn-opt %s --split-input-file --verify-diagnostics

// expected-error @below {{'left' of a window is -2; expected -1 (open) or a number of keys up to 1099511627776}}
func.func private @window_left() attributes {m = #attn.window<left = -2, right = 0>}

// -----

// expected-error @below {{'right' of a window is 1099511627777; expected -1 (open) or a number of keys up to 1099511627776}}
func.func private @window_right() attributes {m = #attn.window<left = 0, right = 1099511627777>}

// -----

// expected-error @below {{the size of a sink is -1; expected a number of keys up to 1099511627776}}
func.func private @sink() attributes {m = #attn.sink<-1>}

// -----

// expected-error @below {{'stride' is 0; expected 1 to 1099511627776}}
func.func private @stride() attributes {m = #attn.strided<stride = 0>}

// -----

// expected-error @below {{'block' is 0; expected 1 to 1099511627776}}
func.func private @block() attributes {m = #attn.strided<stride = 2, block = 0>}

// -----

// expected-error @below {{'phase' is -9223372036854775808; expected -1099511627776 to 1099511627776}}
func.func private @phase() attributes {m = #attn.strided<stride = 2, phase = -9223372036854775808>}

// -----

// expected-error @below {{expected a mask, but found 42 : i64}}
func.func private @member() attributes {m = #attn.all_of<[#attn.causal, 42]>}

// -----

// expected-error @+2 {{invalid kind of attribute specified}}
// expected-error @below {{failed to parse Attn_NotAttr parameter 'mask' which is to be a `::mlir::attn::MaskAttrInterface`}}
func.func private @not() attributes {m = #attn.not<42>}

// -----

// expected-error @below {{'per_head' gives head 1 mask 2, but there are 2 masks}}
func.func private @per_head_index() attributes {m = #attn.per_head<[#attn.causal, #attn.sink<4>], [0, 2]>}

// -----

// expected-error @below {{'per_head' gives head 0 mask -1, but there are 1 masks}}
func.func private @per_head_negative() attributes {m = #attn.per_head<[#attn.causal], [-1]>}

// -----

func.func @per_head_count(%q: tensor<1x3x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'per_head' to list one mask for each of the 3 query heads, but it lists 2}}
  %o = attn.attention %q, %q, %q mask(#attn.per_head<[#attn.causal], [0, 0]>)
    : tensor<1x3x3x4xf32>, tensor<1x3x3x4xf32>, tensor<1x3x3x4xf32>
    -> tensor<1x3x3x4xf32>
  return
}

// -----

// The rules of a mask hold inside of others.
func.func @per_head_count_inside(%q: tensor<1x3x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'per_head' to list one mask for each of the 3 query heads, but it lists 2}}
  %o = attn.attention %q, %q, %q
    mask(#attn.not<#attn.any_of<[#attn.per_head<[#attn.causal], [0, 0]>]>>)
    : tensor<1x3x3x4xf32>, tensor<1x3x3x4xf32>, tensor<1x3x3x4xf32>
    -> tensor<1x3x3x4xf32>
  return
}

// -----

func.func @documents_rank(%q: tensor<1x2x3x4xf32>, %i: tensor<3xi64>) {
  // expected-error @below {{'attn.attention' op expects the query document ids to be a rank 2 tensor of integers, but their type is 'tensor<3xi64>'}}
  %o = attn.attention %q, %q, %q
    mask(#attn.documents, %i, %i : tensor<3xi64>, tensor<3xi64>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @documents_of_floats(%q: tensor<1x2x3x4xf32>, %i: tensor<1x3xi64>, %f: tensor<1x3xf32>) {
  // expected-error @below {{'attn.attention' op expects the key document ids to be a rank 2 tensor of integers, but their type is 'tensor<1x3xf32>'}}
  %o = attn.attention %q, %q, %q
    mask(#attn.documents, %i, %f : tensor<1x3xi64>, tensor<1x3xf32>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @documents_batch(%q: tensor<1x2x3x4xf32>, %i: tensor<2x3xi64>) {
  // expected-error @below {{'attn.attention' op expects the query document ids to have batch size 1, but dimension 0 is 2}}
  %o = attn.attention %q, %q, %q
    mask(#attn.documents, %i, %i : tensor<2x3xi64>, tensor<2x3xi64>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @documents_length(%q: tensor<1x2x3x4xf32>, %i: tensor<1x3xi64>, %k: tensor<1x4xi64>) {
  // expected-error @below {{'attn.attention' op expects the key document ids to have length 3, but dimension 1 is 4}}
  %o = attn.attention %q, %q, %q
    mask(#attn.documents, %i, %k : tensor<1x3xi64>, tensor<1x4xi64>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @documents_types(%q: tensor<1x2x3x4xf32>, %i: tensor<1x3xi64>, %k: tensor<1x3xi32>) {
  // expected-error @below {{'attn.attention' op expects document ids of one element type, but they are 'i64' and 'i32'}}
  %o = attn.attention %q, %q, %q
    mask(#attn.documents, %i, %k : tensor<1x3xi64>, tensor<1x3xi32>)
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}
