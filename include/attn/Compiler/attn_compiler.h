/*===- attn_compiler.h - Import, compile and explain models ------*- C -*-===*/
/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                  */
#ifndef ATTN_COMPILER_ATTN_COMPILER_H
#define ATTN_COMPILER_ATTN_COMPILER_H

#include "attn/Runtime/attn_runtime.h"
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Results of the functions below. */
enum {
  ATTN_OK = 0,
  ATTN_FAILED = 1,     /* a wrong or unreadable file, or an internal failure */
  ATTN_BAD_OPTION = 2, /* an unknown target, stage, entry or extension */
  ATTN_UNSUPPORTED = 3 /* a correct model that needs what is not there yet;
                          the message names the operators */
};

/* Begin with attn_compile_options options = {sizeof(attn_compile_options)}; a
   member that is 0 takes its default. */
typedef struct attn_compile_options {
  uint32_t struct_size;
  /* What to compile for: "host" (default), "x86-64-v3", "x86-64-v4", or the
     GPUs "sm_80" and "sm_90a". */
  const char *target;
  /* Public function to compile; default: the only one. */
  const char *entry;
  /* Stage to stop at, such as "tiles"; default: what the extension of the
     output asks for. */
  const char *emit;
  /* Print large constants as a mark of their size only. */
  int32_t elide_weights;
  /* Called now and then with the name of the stage and steps done of total. */
  void (*progress)(const char *stage, int32_t done, int32_t total,
                   void *context);
  void *progress_context;
  /* How attention is computed: "tiles" (default) takes tile programs wherever
     there is one, "plain" never: every operation becomes its definition in
     plain linalg. */
  const char *attention;
  /* For attn_compile_jit with a GPU as target: the kernels run on this
     processor, by emulation. */
  int32_t emulate;
  /* Whether lists of keys are followed, or the keys around them tested pair by
     pair: "auto" (default) takes what is expected to be faster, "always" and
     "never" force one. */
  const char *sparse;
  /* Form of the report of attn_explain: "text" (default) or "json". */
  const char *report;
} attn_compile_options;

/* One line about the calling thread's last failure, until its next call:
   what is wrong, where, and what to do. No "error: " in front. */
const char *attn_compile_last_error(void);

/* The result code of the calling thread's last call. */
int attn_compile_last_status(void);

/* Writes MODEL.onnx as MLIR text to `output`; "-" or NULL is the standard
   output. Files are written whole or not at all, here and below. */
int attn_import(const char *input, const char *output,
                const attn_compile_options *options);

/* Compiles MODEL.onnx or FILE.mlir; the extension of `output` says to what. */
int attn_compile_file(const char *input, const char *output,
                      const attn_compile_options *options);

/* Compiles into memory. NULL on failure; attn_rt_unload frees the module. */
attn_rt_module *attn_compile_jit(const char *input,
                                 const attn_compile_options *options);

/* Passes a report about each attention of the model, in pieces, to `write`. */
int attn_explain(const char *input, const attn_compile_options *options,
                 void (*write)(const char *text, size_t size, void *context),
                 void *context);

#ifdef __cplusplus
}
#endif

#endif /* ATTN_COMPILER_ATTN_COMPILER_H */
