/*===- stub_compiler.c - A compiler that does what its model says ---------===*/
/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                  */
/* Stands in for libAttnCompiler.so, to see what the command makes of each
   result and of crashes. The model is a text file with one word. */
#include "attn/Compiler/attn_compiler.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void *attn_rt_alloc(int64_t bytes);

static const char *error = "";
static int status = ATTN_OK;

const char *attn_compile_last_error(void) { return error; }
int attn_compile_last_status(void) { return status; }

/* Returns whether the model asks for a success. */
static int obey(const char *input, const attn_compile_options *options) {
  char word[64] = "";
  FILE *file = fopen(input, "r");
  if (file && fscanf(file, "%63s", word) != 1)
    word[0] = 0;
  if (file)
    fclose(file);
  if (options->progress)
    options->progress("stub stage", 1, 2, options->progress_context);
  status = ATTN_OK;
  if (!strcmp(word, "crash"))
    raise(SIGSEGV);
  else if (!strcmp(word, "hang"))
    pause();
  else if (!strcmp(word, "quit"))
    _exit(0);
  else if (!strcmp(word, "unsupported"))
    status = ATTN_UNSUPPORTED, error = "node 'n': operator Foo-7 is unknown";
  else if (options->target)
    status = ATTN_BAD_OPTION, error = "unknown target; expected host";
  else if (strcmp(word, "double"))
    status = ATTN_FAILED, error = "the model is malformed\nat byte 3\n";
  return status == ATTN_OK;
}

static const char metadata[] =
    "{\"format\":1,"
    "\"inputs\":[{\"name\":\"x\",\"dtype\":\"float32\",\"shape\":[-1]}],"
    "\"outputs\":[{\"name\":\"y\",\"dtype\":\"float32\",\"shape\":[-1]}]}";

static void doubleAll(void **arguments) {
  struct {
    float *allocated, *aligned;
    int64_t offset, size, stride;
  } *result = arguments[0], *input = arguments[1];
  float *data = attn_rt_alloc(input->size * sizeof(float));
  for (int64_t i = 0; i < input->size; ++i)
    data[i] = 2 * input->aligned[i];
  *result = *input;
  result->allocated = result->aligned = data;
}

attn_rt_module *attn_compile_jit(const char *input,
                                 const attn_compile_options *options) {
  if (!obey(input, options))
    return NULL;
  return attn_rt_load_symbols(doubleAll, NULL, metadata, ".", NULL, NULL);
}

int attn_compile_file(const char *input, const char *output,
                      const attn_compile_options *options) {
  return obey(input, options) ? ATTN_OK : status;
}

int attn_import(const char *input, const char *output,
                const attn_compile_options *options) {
  if (obey(input, options))
    printf("to %s%s\n", output, options->elide_weights ? " elided" : "");
  return status;
}

int attn_explain(const char *input, const attn_compile_options *options,
                 void (*write)(const char *text, size_t size, void *context),
                 void *context) {
  write("one ", 4, context);
  if (obey(input, options))
    write("two\n", 4, context);
  return status;
}
