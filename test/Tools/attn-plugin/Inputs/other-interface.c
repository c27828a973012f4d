/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 * A plugin of a future plugin interface. */
#include <stdint.h>

typedef struct {
  uint32_t interface_version;
  const char *name, *version;
  void (*register_into)(void *);
} plugin;

static void do_nothing(void *registry) { (void)registry; }

plugin mlirGetDialectPluginInfo(void) {
  plugin info = {999, "future", "1.0", do_nothing};
  return info;
}
