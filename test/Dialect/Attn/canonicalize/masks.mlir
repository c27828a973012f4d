// RUN: attn-opt %s --canonicalize | FileCheck %s

!t = tensor<2x2x?x4xf32>
!ids = tensor<2x?xi64>

// CHECK-LABEL: func.func @keeps_all
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor
func.func @keeps_all(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q mask(#attn.all_of<[]>) : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @open_window
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor
func.func @open_window(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q mask(#attn.window<left = -1, right = -1>)
    : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @window_is_causal
//       CHECK:   mask(#attn.causal)
func.func @window_is_causal(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q mask(#attn.window<left = -1, right = 0>)
    : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @stride_of_one
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor
func.func @stride_of_one(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q mask(#attn.strided<stride = 1, block = 7>)
    : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @empty_sink
//       CHECK:   mask(#attn.any_of<[]>)
func.func @empty_sink(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q mask(#attn.sink<0>) : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @only_member
//       CHECK:   mask(#attn.causal)
func.func @only_member(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q mask(#attn.any_of<[#attn.all_of<[#attn.causal]>]>)
    : !t, !t, !t -> !t
  return %o : !t
}

// Lists in lists of their kind, repetitions and neutral members go.
// CHECK-LABEL: func.func @flatten
//       CHECK:   mask(#attn.all_of<[#attn.causal, #attn.sink<4>]>)
func.func @flatten(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q
    mask(#attn.all_of<[#attn.all_of<[#attn.causal, #attn.sink<4>]>,
                       #attn.not<#attn.any_of<[]>>, #attn.causal]>)
    : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @not_not
//       CHECK:   mask(#attn.causal)
func.func @not_not(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q mask(#attn.not<#attn.not<#attn.causal>>)
    : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @equal_heads
//       CHECK:   mask(#attn.causal)
func.func @equal_heads(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q
    mask(#attn.per_head<[#attn.causal, #attn.window<left = -1, right = 0>], [0, 1]>)
    : !t, !t, !t -> !t
  return %o : !t
}

// A mask that no head uses goes.
// CHECK-LABEL: func.func @unused_member
//       CHECK:   mask(#attn.per_head<[#attn.sink<4>, #attn.causal], [0, 1]>)
func.func @unused_member(%q: !t) -> !t {
  %o = attn.attention %q, %q, %q
    mask(#attn.per_head<[#attn.causal, #attn.sink<9>, #attn.sink<4>], [2, 0]>)
    : !t, !t, !t -> !t
  return %o : !t
}

// The documents go with their tensors.
// CHECK-LABEL: func.func @documents_of_nothing
//       CHECK:   mask(#attn.any_of<[]>)
func.func @documents_of_nothing(%q: !t, %i: !ids) -> !t {
  %o = attn.attention %q, %q, %q
    mask(#attn.all_of<[#attn.documents, #attn.any_of<[]>]>, %i, %i : !ids, !ids)
    : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @documents_of_everything
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} : tensor
func.func @documents_of_everything(%q: !t, %i: !ids) -> !t {
  %o = attn.attention %q, %q, %q
    mask(#attn.any_of<[#attn.documents, #attn.all_of<[]>]>, %i, %i : !ids, !ids)
    : !t, !t, !t -> !t
  return %o : !t
}

// The tensors of the others keep their order.
// CHECK-LABEL: func.func @documents_in_the_middle
//  CHECK-SAME:   %[[A:.[^:]*]]: tensor<2x?xi64>, %[[B:.[^:]*]]: tensor<2x?xi64>, %[[C:.[^:]*]]: tensor<2x?xi64>)
//       CHECK:   mask(#attn.all_of<[#attn.documents, #attn.documents]>, %[[A]], %[[A]], %[[C]], %[[C]] :
func.func @documents_in_the_middle(%q: !t, %a: !ids, %b: !ids, %c: !ids) -> !t {
  %o = attn.attention %q, %q, %q
    mask(#attn.all_of<[#attn.documents,
                       #attn.any_of<[#attn.documents, #attn.all_of<[]>]>,
                       #attn.documents]>, %a, %a, %b, %b, %c, %c
         : !ids, !ids, !ids, !ids, !ids, !ids)
    : !t, !t, !t -> !t
  return %o : !t
}

// The same documents twice are once enough; others are not the same.
// CHECK-LABEL: func.func @documents_twice
//       CHECK:   mask(#attn.documents, %[[A:.*]], %[[A]] :
func.func @documents_twice(%q: !t, %a: !ids) -> !t {
  %o = attn.attention %q, %q, %q
    mask(#attn.all_of<[#attn.documents, #attn.documents]>, %a, %a, %a, %a
         : !ids, !ids, !ids, !ids)
    : !t, !t, !t -> !t
  return %o : !t
}

// CHECK-LABEL: func.func @other_documents
//       CHECK:   mask(#attn.all_of<[#attn.documents, #attn.documents]>,
func.func @other_documents(%q: !t, %a: !ids, %b: !ids) -> !t {
  %o = attn.attention %q, %q, %q
    mask(#attn.all_of<[#attn.documents, #attn.documents]>, %a, %a, %b, %b
         : !ids, !ids, !ids, !ids)
    : !t, !t, !t -> !t
  return %o : !t
}
