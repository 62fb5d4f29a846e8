/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/attr.h"

#include <stddef.h>

/* One NULL-ended list of spellings per enumerated kind. */
#define SPELL_1(a) #a
#define SPELL_2(a, b) #a, #b
#define SPELL_3(a, b, c) #a, #b, #c
#define SPELL_4(a, b, c, d) #a, #b, #c, #d
#define SPELL_5(a, b, c, d, e) #a, #b, #c, #d, #e
#define SPELL_6(a, b, c, d, e, f) #a, #b, #c, #d, #e, #f
#define PICK(a, b, c, d, e, f, name, ...) name
#define SPELL(...) \
  PICK(__VA_ARGS__, SPELL_6, SPELL_5, SPELL_4, SPELL_3, SPELL_2, SPELL_1, 0)(__VA_ARGS__)
#define ATTR_ENUM(kind, type, prefix, ...) \
  static const char *const spellings_##kind[] = {SPELL(__VA_ARGS__), NULL};
#include "ir/attr.def"

static const char *const *const spellings[JM_N_ATTR_KINDS] = {
#define ATTR_ENUM(kind, type, prefix, ...) [JM_ATTR_##kind] = spellings_##kind,
#include "ir/attr.def"
};

const char *const *jm_attr_spellings(jm_attr_kind kind) { return spellings[kind]; }
