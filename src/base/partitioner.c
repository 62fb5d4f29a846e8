/* SPDX-License-Identifier: Apache-2.0 */
#include "base/partitioner.h"

#include <pthread.h>
#include <string.h>

typedef struct entry entry;
struct entry {
  entry *next;
  size_t size;
  char *name;
  jm_partitioner partitioner;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static entry *entries; /* few; none is ever removed */

static entry *find(const char *name, size_t size) {
  entry *e = entries;
  while (e && (e->size != size || memcmp(e->name, name, size))) e = e->next;
  return e;
}

static entry *add(const char *name, size_t size) {
  entry *e = jm_alloc(1, sizeof *e);
  char *copy = jm_alloc(size + 1, 1);
  if (!e || !copy) {
    jm_free(e);
    jm_free(copy);
    return NULL;
  }
  memcpy(copy, name, size);
  *e = (entry){.next = entries, .size = size, .name = copy};
  return entries = e;
}

jm_error *jm_partitioner_register(const char *name, size_t size,
                                  const jm_partitioner *partitioner) {
  if (!name || !size) return jm_error_invalid("a partitioner without a name");
  pthread_mutex_lock(&lock);
  entry *e = find(name, size);
  if (!e) e = add(name, size);
  if (e) e->partitioner = *partitioner;
  pthread_mutex_unlock(&lock);
  return e ? NULL : jm_error_out_of_memory();
}

bool jm_partitioner_find(const char *name, size_t size, jm_partitioner *out) {
  pthread_mutex_lock(&lock);
  const entry *e = find(name, size);
  if (e) *out = e->partitioner;
  pthread_mutex_unlock(&lock);
  return e != NULL;
}
