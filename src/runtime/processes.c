/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/processes.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/settings.h"
#include "base/text.h"

enum {
  DEFAULT_SECONDS = 120,
  MOST_SECONDS = 86400,
  SLICE_MILLISECONDS = 500, /* between two looks at whether the wait was cancelled */
  KEY_BYTES = 96,
};

static const char magic[] =
    "jax-mps-c processes 2"; /* a change of the lines below is a new number */

jm_error *jm_collective_seconds(int64_t *out) {
  return jm_setting_read_number(JM_SETTING_COLLECTIVE_TIMEOUT, 1, MOST_SECONDS, DEFAULT_SECONDS,
                                out);
}

void jm_processes_init_alone(jm_processes *processes, uint32_t n_devices, const char *kind) {
  *processes = (jm_processes){.n = 1, .n_devices = n_devices, .port = -1};
  processes->list[0].n_devices = n_devices;
  snprintf(processes->list[0].kind, sizeof processes->list[0].kind, "%s", kind);
}

void jm_processes_release_port(jm_processes *processes) {
  if (processes->port >= 0) close(processes->port);
  processes->port = -1;
}

void jm_processes_deinit(jm_processes *processes) {
  jm_processes_release_port(processes);
  if (processes->store) processes->store->destroy(processes->store);
  processes->store = NULL;
}

uint32_t jm_processes_find(const jm_processes *processes, uint32_t device) {
  uint32_t at = 0;
  while (at + 1 < processes->n && device >= processes->list[at + 1].first_device) at++;
  return at;
}

/* -- the port. It is bound here and not listened on, with SO_REUSEPORT, so that nobody else is
 * given it before the transport, which binds it in the same way, listens */

static jm_error *error_of_port(const char *host, int64_t port) {
  return jm_error_create(JM_UNAVAILABLE,
                         "this process can't listen on %.100s, port %lld: %s "
                         "(JAX_MPS_COLLECTIVE_ADDRESS, JAX_MPS_COLLECTIVE_PORT)",
                         host, (long long)port, strerror(errno));
}

static jm_error *bind_port(const char *host, int64_t port, int *out, uint16_t *bound) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  int status = getaddrinfo(host, NULL, &hints, &found);
  if (status)
    return jm_error_invalid("JAX_MPS_COLLECTIVE_ADDRESS: '%.100s' is no address: %s", host,
                            gai_strerror(status));
  struct sockaddr_in address;
  memcpy(&address, found->ai_addr, sizeof address);
  freeaddrinfo(found);
  address.sin_port = htons((uint16_t)port);
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t size = sizeof address;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
      setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) ||
      bind(fd, (struct sockaddr *)&address, sizeof address) ||
      getsockname(fd, (struct sockaddr *)&address, &size)) {
    jm_error *error = error_of_port(host, port);
    if (fd >= 0) close(fd);
    return error;
  }
  *out = fd;
  *bound = ntohs(address.sin_port);
  return NULL;
}

/* Process i of a job takes the i-th port from COLLECTIVE_PORT on, or any. */
static jm_error *reserve_port(jm_processes *p, char *out, size_t size) {
  const char *host = jm_setting_find(JM_SETTING_COLLECTIVE_ADDRESS);
  int64_t first;
  uint16_t bound;
  if (!host) host = "127.0.0.1";
  JM_TRY(
      jm_setting_read_number(JM_SETTING_COLLECTIVE_PORT, 1024, 65535 - JM_MAX_DEVICES, 0, &first));
  JM_TRY(bind_port(host, first ? first + p->self : 0, &p->port, &bound));
  if (snprintf(out, size, "%s:%u", host, bound) >= (int)size || strchr(host, '\n'))
    return jm_error_invalid("JAX_MPS_COLLECTIVE_ADDRESS: '%.100s' is too long", host);
  return NULL;
}

/* -- what a process tells of itself: lines of text */

static bool take_line(const char **at, char *out, size_t size) {
  const char *end = strchr(*at, '\n');
  if (!end || (size_t)(end - *at) >= size) return false;
  memcpy(out, *at, (size_t)(end - *at));
  out[end - *at] = 0;
  *at = end + 1;
  return true;
}

static jm_error *read_process(uint32_t index, const char *text, jm_process *out) {
  char first[64], count[16], *end;
  const char *at = text;
  if (!take_line(&at, first, sizeof first) || strcmp(first, magic))
    return jm_error_create(JM_FAILED_PRECONDITION,
                           "process %u of the job runs another version of jax-mps-c", index);
  if (!take_line(&at, count, sizeof count) || !take_line(&at, out->address, sizeof out->address) ||
      !take_line(&at, out->kind, sizeof out->kind) ||
      !take_line(&at, out->collectives, sizeof out->collectives) ||
      !take_line(&at, out->identity, sizeof out->identity) || *at)
    return jm_error_invalid("process %u tells of itself what can't be read", index);
  unsigned long n = strtoul(count, &end, 10);
  if (*end || n < 1 || n > JM_MAX_DEVICES)
    return jm_error_invalid("process %u has '%s' devices", index, count);
  out->n_devices = (uint32_t)n;
  return NULL;
}

static void build_key(const jm_processes *p, const char *point, uint32_t process, char *out) {
  snprintf(out, KEY_BYTES, "jax_mps/%u/%.48s/%u", p->generation, point, process);
}

static jm_error *tell(const jm_processes *p, const jm_process *own, const char *address) {
  char key[KEY_BYTES];
  build_key(p, "process", p->self, key);
  jm_text text;
  jm_text_init(&text);
  jm_text_printf(&text, "%s\n%u\n%s\n%.120s\n%s\n%s\n", magic, own->n_devices, address, own->kind,
                 own->collectives, own->identity);
  jm_error *error = jm_text_error(&text);
  if (!error) error = p->store->put(p->store, key, text.bytes, text.size);
  jm_text_deinit(&text);
  return error;
}

static bool is_missing(const jm_error *error) {
  const jm_code code = jm_error_code(error);
  return code == JM_NOT_FOUND || code == JM_DEADLINE_EXCEEDED;
}

/* The value of a process's key, within what is left of the time. */
static jm_error *await_key(const jm_processes *p, const char *point, uint32_t process,
                           time_t deadline, const atomic_bool *cancelled, char **out) {
  char key[KEY_BYTES];
  build_key(p, point, process, key);
  for (;;) {
    if (cancelled && atomic_load(cancelled))
      return jm_error_create(JM_CANCELLED, "the client was closed while it waited for process %u",
                             process);
    jm_error *error = p->store->get(p->store, key, SLICE_MILLISECONDS, out);
    if (!error || !is_missing(error) || time(NULL) >= deadline) return error;
    jm_error_destroy(error);
  }
}

static jm_error *error_missing(const jm_processes *p, const char *point, uint32_t process,
                               int64_t seconds, jm_error *cause) {
  if (!is_missing(cause)) return jm_error_note(cause, "waiting for process %u of the job", process);
  jm_error_destroy(cause);
  return jm_error_create(
      JM_DEADLINE_EXCEEDED,
      "process %u of the job's %u did not come within %lld s (JAX_MPS_COLLECTIVE_TIMEOUT) to: %s",
      process, p->n, (long long)seconds, point);
}

static jm_error *gather_processes(jm_processes *p) {
  int64_t seconds;
  JM_TRY(jm_collective_seconds(&seconds));
  const time_t deadline = time(NULL) + (time_t)seconds;
  for (uint32_t i = 0; i < p->n; i++) {
    char *text = NULL;
    jm_error *error = await_key(p, "process", i, deadline, NULL, &text);
    if (error) return error_missing(p, "the start of its client", i, seconds, error);
    error = read_process(i, text, &p->list[i]);
    jm_free(text);
    if (error) return error;
    p->list[i].first_device = p->n_devices;
    p->n_devices += p->list[i].n_devices;
    if (p->n_devices > JM_MAX_DEVICES)
      return jm_error_invalid("the processes up to %u have %u devices, a job may have %d", i,
                              p->n_devices, JM_MAX_DEVICES);
  }
  return NULL;
}

jm_error *jm_processes_init_job(jm_processes *processes, uint32_t self, uint32_t n, jm_store *store,
                                const jm_process *own) {
  static atomic_uint generations;
  *processes = (jm_processes){.n = n, .self = self, .store = store, .port = -1};
  char address[sizeof processes->list[0].address];
  jm_error *error = NULL;
  if (n > JM_MAX_DEVICES || self >= n)
    error = jm_error_invalid("process %u of %u: a job has at most %d processes", self, n,
                             JM_MAX_DEVICES);
  if (!error) {
    processes->generation = atomic_fetch_add(&generations, 1);
    error = reserve_port(processes, address, sizeof address);
  }
  if (!error) error = tell(processes, own, address);
  if (!error) error = gather_processes(processes);
  if (error) jm_processes_deinit(processes);
  return error;
}

jm_error *jm_processes_agree(const jm_processes *processes, const char *point, bool yes,
                             const atomic_bool *cancelled, bool *all) {
  char key[KEY_BYTES];
  int64_t seconds;
  JM_TRY(jm_collective_seconds(&seconds));
  build_key(processes, point, processes->self, key);
  JM_TRY(processes->store->put(processes->store, key, yes ? "1" : "0", 1));
  const time_t deadline = time(NULL) + (time_t)seconds;
  *all = true;
  for (uint32_t i = 0; i < processes->n; i++) {
    char *text = NULL;
    jm_error *error = await_key(processes, point, i, deadline, cancelled, &text);
    if (!error) *all &= !strcmp(text, "1");
    jm_free(text);
    if (error) return error_missing(processes, point, i, seconds, error);
  }
  return NULL;
}

jm_error *jm_processes_meet(const jm_processes *processes, const char *point,
                            const atomic_bool *cancelled) {
  bool all;
  return jm_processes_agree(processes, point, true, cancelled, &all);
}

jm_error *jm_processes_hear_first(const jm_processes *p, const char *what,
                                  const atomic_bool *cancelled, char *text, size_t size) {
  char key[KEY_BYTES], *heard = NULL;
  int64_t seconds;
  JM_TRY(jm_collective_seconds(&seconds));
  build_key(p, what, 0, key);
  if (!p->self) return p->store->put(p->store, key, text, strlen(text));
  jm_error *error = await_key(p, what, 0, time(NULL) + (time_t)seconds, cancelled, &heard);
  if (error) return error_missing(p, what, 0, seconds, error);
  snprintf(text, size, "%s", heard);
  jm_free(heard);
  return NULL;
}

/* A free port of the host of process 0, which somebody else may take before it is used. */
static jm_error *choose_address(const jm_processes *p, char *out, size_t size) {
  int64_t first;
  uint16_t port;
  int fd;
  const char *own = p->list[p->self].address, *colon = strrchr(own, ':');
  if (!colon) return jm_error_internal("process %u has no port", p->self);
  JM_TRY(
      jm_setting_read_number(JM_SETTING_COLLECTIVE_PORT, 1024, 65535 - JM_MAX_DEVICES, 0, &first));
  snprintf(out, size, "%.*s", (int)(colon - own), own);
  JM_TRY(bind_port(out, first ? first + p->n : 0, &fd, &port));
  close(fd);
  snprintf(out, size, "%.*s:%u", (int)(colon - own), own, port);
  return NULL;
}

jm_error *jm_processes_find_address(const jm_processes *p, const char *point,
                                    const atomic_bool *cancelled, char *out, size_t size) {
  if (!p->self) JM_TRY(choose_address(p, out, size));
  JM_TRY(jm_processes_meet(p, point, cancelled));
  return jm_processes_hear_first(p, "address", cancelled, out, size);
}
