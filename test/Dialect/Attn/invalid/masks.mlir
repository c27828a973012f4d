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

// -----

// expected-error @below {{'kv_block' is 0; expected 1 to 1099511627776}}
func.func private @kv_block() attributes {m = #attn.blocks<q_block = 64, kv_block = 0>}

// -----

// expected-error @below {{'left' of a window is 1099511627776; expected -1 (open) or a number of blocks up to 549755813888}}
func.func private @block_window() attributes {m = #attn.window<left = 1099511627776, right = 0, block = 2>}

// -----

// expected-error @below {{'block' is 0; expected 1 to 1099511627776}}
func.func private @elastic() attributes {m = #attn.elastic<block = 0>}

// -----

func.func @blocks_rank(%q: tensor<2x4x128x8xf32>, %i: tensor<2x4x3xi64>, %n: tensor<2x4x2xi64>) {
  // expected-error @below {{expects the block numbers to be a rank 4 tensor of integers, but their type is 'tensor<2x4x3xi64>'}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 64>, %i, %n : tensor<2x4x3xi64>, tensor<2x4x2xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @blocks_type(%q: tensor<2x4x128x8xf32>, %i: tensor<2x4x2x3xf32>, %n: tensor<2x4x2xi64>) {
  // expected-error @below {{expects the block numbers to be a rank 4 tensor of integers, but their type is 'tensor<2x4x2x3xf32>'}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 64>, %i, %n : tensor<2x4x2x3xf32>, tensor<2x4x2xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @blocks_batch(%q: tensor<2x4x128x8xf32>, %i: tensor<3x4x2x3xi64>, %n: tensor<3x4x2xi64>) {
  // expected-error @below {{expects the block numbers to have batch size 2 or 1, but dimension 0 is 3}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 64>, %i, %n : tensor<3x4x2x3xi64>, tensor<3x4x2xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @blocks_heads(%q: tensor<2x4x128x8xf32>, %i: tensor<2x3x2x3xi64>, %n: tensor<2x3x2xi64>) {
  // expected-error @below {{expects the number of heads of the block numbers to divide the 4 query heads, but dimension 1 is 3}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 64>, %i, %n : tensor<2x3x2x3xi64>, tensor<2x3x2xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @blocks_rows(%q: tensor<2x4x128x8xf32>, %i: tensor<2x4x3x3xi64>, %n: tensor<2x4x3xi64>) {
  // expected-error @below {{expects dimension 2 of the block numbers to be 2, the number of query blocks, but it is 3}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 64>, %i, %n : tensor<2x4x3x3xi64>, tensor<2x4x3xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @blocks_other(%q: tensor<2x4x128x8xf32>, %i: tensor<2x4x2x3xi64>, %n: tensor<2x1x2xi64>) {
  // expected-error @below {{expects dimension 1 of the block counts to be 4, as in the block numbers, but it is 1}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 64>, %i, %n : tensor<2x4x2x3xi64>, tensor<2x1x2xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @csr_begins(%q: tensor<2x4x128x8xf32>, %i: tensor<2x4x2xi64>, %n: tensor<2x4x9xi64>) {
  // expected-error @below {{expects dimension 2 of the list begins to be 3, one more than the query blocks, but it is 2}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 64, layout = csr>, %i, %n : tensor<2x4x2xi64>, tensor<2x4x9xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @members_keys(%q: tensor<2x4x128x8xf32>, %i: tensor<2x4x2x3xi1>) {
  // expected-error @below {{expects dimension 3 of the listed blocks to be 2, the number of key blocks, but it is 3}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<q_block = 64, kv_block = 64, layout = members>, %i : tensor<2x4x2x3xi1>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @spans_rows(%q: tensor<2x4x128x8xf32>, %i: tensor<2x1x64xi64>, %n: tensor<2x1x64xi64>) {
  // expected-error @below {{expects dimension 2 of the begins of spans to be 128, the number of query rows, but it is 64}}
  %o = attn.attention %q, %q, %q mask(#attn.spans, %i, %n : tensor<2x1x64xi64>, tensor<2x1x64xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @spans_types(%q: tensor<2x4x128x8xf32>, %i: tensor<2x1x128xi64>, %n: tensor<2x1x128xi32>) {
  // expected-error @below {{expects the begins of spans and the ends of spans to have one type, but they are 'tensor<2x1x128xi64>' and 'tensor<2x1x128xi32>'}}
  %o = attn.attention %q, %q, %q mask(#attn.spans, %i, %n : tensor<2x1x128xi64>, tensor<2x1x128xi32>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}

// -----

func.func @elastic_rank(%q: tensor<2x4x128x8xf32>, %i: tensor<2x4x1xi64>, %n: tensor<2x4x1xi64>) {
  // expected-error @below {{expects the numbers of first keys to be a rank 2 tensor of integers, but their type is 'tensor<2x4x1xi64>'}}
  %o = attn.attention %q, %q, %q mask(#attn.elastic, %i, %n : tensor<2x4x1xi64>, tensor<2x4x1xi64>)
    : tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>, tensor<2x4x128x8xf32>
    -> tensor<2x4x128x8xf32>
  return
}
