/* SPDX-License-Identifier: Apache-2.0
 * Machines that kernels are compiled for in tests, at hand or not, and what must hold of the
 * object: it needs nothing from outside but the table of C functions, and the plugin's loader knows
 * its relocations. */
#ifndef JM_TESTS_KERNEL_OBJECT_H
#define JM_TESTS_KERNEL_OBJECT_H

#include "engine/host/image.h"
#include "engine/host/llvm_library.h"
#include "kernel/ir/kernel.h"
#include "unit/test_target.h"

typedef struct kernel_machine {
  jm_llvm_machine machine;
  const char *name;
  jm_target target; /* of that name: after kernel_machines_find */
} kernel_machine;

#define KERNEL_MACHINE(triple, cpu, quickly, name) \
  {{triple "-unknown-linux-gnu", cpu, "", false, quickly}, name, {0}}

static kernel_machine kernel_machines[] = {
    KERNEL_MACHINE("x86_64", "x86-64-v2", false, "x86-64-v2"),
    KERNEL_MACHINE("x86_64", "x86-64-v2", true, "x86-64-v2"),
    KERNEL_MACHINE("x86_64", "x86-64-v3", false, "x86-64-v3"),
    KERNEL_MACHINE("x86_64", "x86-64-v3", true, "x86-64-v3"),
    KERNEL_MACHINE("x86_64", "x86-64-v4", false, "x86-64-v4"),
    KERNEL_MACHINE("x86_64", "x86-64-v4", true, "x86-64-v4"),
    KERNEL_MACHINE("aarch64", "generic", false, "arm64"),
    KERNEL_MACHINE("aarch64", "generic", true, "arm64"),
};
enum { N_KERNEL_MACHINES = sizeof kernel_machines / sizeof *kernel_machines };

static void kernel_machines_find(void) {
  for (int i = 0; i < N_KERNEL_MACHINES; i++)
    kernel_machines[i].target = test_target(kernel_machines[i].name);
}

static uint64_t read_number(const char *bytes, size_t size) {
  uint64_t value = 0;
  memcpy(&value, bytes, size);
  return value;
}

/* The first undefined symbol of an ELF object of 64 bits but for the table; "" if there is none. */
static const char *find_undefined(const jm_text *object) {
  const char *bytes = object->bytes;
  CHECK(object->size > 64 && !memcmp(bytes, "\177ELF\2\1", 6));
  uint64_t sections = read_number(bytes + 40, 8), n = read_number(bytes + 60, 2);
  for (uint64_t i = 0; i < n; i++) {
    const char *section = bytes + sections + i * 64;
    if (read_number(section + 4, 4) != 2) continue; /* a symbol table */
    const char *strings = bytes + sections + read_number(section + 40, 4) * 64;
    uint64_t names = read_number(strings + 24, 8), from = read_number(section + 24, 8);
    uint64_t size = read_number(section + 32, 8);
    for (uint64_t at = from + 24; at < from + size; at += 24) {
      const char *name = bytes + names + read_number(bytes + at, 4);
      if (!read_number(bytes + at + 6, 2) && strcmp(name, JM_KCALL_TABLE)) return name;
    }
  }
  return "";
}

/* Compiles a module's text. */
static void kernel_object_check(const char *text, const kernel_machine *m) {
  jm_text object;
  jm_text_init(&object);
  CHECK_OK(jm_llvm_object_emit(text, &m->machine, &object));
  const char *symbol = object.size ? find_undefined(&object) : "everything";
  if (*symbol) fprintf(stderr, "%s: %s is undefined\n", m->machine.cpu, symbol);
  CHECK(!*symbol);
  jm_image image = {0};
  if (object.size) CHECK_OK(jm_image_link(object.bytes, object.size, NULL, 0, NULL, &image));
  jm_image_unmap(&image);
  jm_text_deinit(&object);
}

#endif
