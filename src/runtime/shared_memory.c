/* SPDX-License-Identifier: Apache-2.0
 * The file: a page with its random number, and for each process a seat: the number of its last
 * round, and two buffers. In a round each process writes a piece into one of its buffers, publishes
 * the round's number, and reads the buffers of the others once they have published it, too:
 *
 *   process 0   write a[1]  publish 1   read b[1]   write a[0]  publish 2   read b[0]   ...
 *   process 1   write b[1]  publish 1   read a[1]   write b[0]  publish 2   read a[0]   ...
 *
 * Who publishes round r has read all buffers of round r - 1, and who begins round r + 1 has seen
 * all publish r: so the buffer of round r - 1, which is written next, has no reader left.
 *
 * Each process holds a lock on a byte of the file, which the system gives back when the process
 * ends, however it ends: the others ask for it while they wait. */
#include "runtime/shared_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/spin.h"

enum {
  PAGE = 16384,            /* bytes: a multiple of every system's */
  PIECE = 256 << 10,       /* bytes that a process brings to a round at most */
  SPIN_NS = 200000,        /* for which a process polls before it sleeps */
  SLEEPS = 16,             /* it sleeps for this part of the time that it has waited, but */
  LONGEST_SLEEP = 1000000, /* ns at most */
  LOOK_NS = 20000000,      /* between two looks at whether the others are alive */
  TOKEN = 32,              /* hexadecimal digits of the random number */
  HOST = 256,              /* bytes of a host's name */
};

typedef struct head {
  char token[TOKEN];
  char host[HOST]; /* where it was made: another host may see the file, but not our writes to it */
  char rest[PAGE - TOKEN - HOST];
} head;

typedef struct seat {
  atomic_size_t round; /* the last one of which its buffer is written */
  char rest[PAGE - sizeof(atomic_size_t)];
  char buffers[2][PIECE];
} seat;

typedef struct shared_memory {
  jm_transport base;
  const atomic_bool *cancelled;
  int file;
  size_t bytes;
  head *head;
  seat *seats;
  size_t round;
} shared_memory;

static size_t bytes_of(uint32_t n) { return sizeof(head) + n * sizeof(seat); }

/* -- the file */

static jm_error *make_token(char *out) {
  unsigned char random[TOKEN / 2];
  FILE *source = fopen("/dev/urandom", "rb");
  const size_t got = source ? fread(random, 1, sizeof random, source) : 0;
  if (source) fclose(source);
  if (got != sizeof random) return jm_error_create(JM_UNAVAILABLE, "/dev/urandom can't be read");
  for (size_t i = 0; i < sizeof random; i++) snprintf(out + 2 * i, 3, "%02x", random[i]);
  return NULL;
}

/* Its memory is taken now: a write to a file that has no room left would end the process. */
static bool fill(int file, const char *token, size_t bytes) {
  static const char zeros[PAGE];
  head first = {.host = ""};
  memcpy(first.token, token, TOKEN);
  bool filled = !gethostname(first.host, HOST) && write(file, &first, PAGE) == PAGE;
  for (size_t at = PAGE; at < bytes && filled; at += PAGE)
    filled = write(file, zeros, PAGE) == PAGE;
  return filled;
}

static bool make_file(const char *folder, const char *token, uint32_t n, char *path, size_t size) {
  if (snprintf(path, size, "%s/jax_mps_XXXXXX", folder) >= (int)size) return false;
  const int file = mkstemp(path);
  if (file < 0) return false;
  const bool made = fill(file, token, bytes_of(n));
  close(file);
  if (!made) unlink(path);
  return made;
}

jm_error *jm_shared_memory_create(uint32_t n, char *name) {
  char token[TOKEN + 1], path[JM_SHARED_NAME - TOKEN - 1];
  JM_TRY(make_token(token));
  if (!make_file("/dev/shm", token, n, path, sizeof path) &&
      !make_file("/tmp", token, n, path, sizeof path))
    return jm_error_create(JM_UNAVAILABLE, "no folder has room for %zu bytes of shared memory",
                           bytes_of(n));
  snprintf(name, JM_SHARED_NAME, "%s %s", token, path);
  return NULL;
}

static const char *path_of(const char *name) {
  return strlen(name) > TOKEN ? name + TOKEN + 1 : "";
}

void jm_shared_memory_remove(const char *name) { unlink(path_of(name)); }

/* -- who is there */

static bool lock_seat(int file, uint32_t process) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = process, .l_len = 1};
  return fcntl(file, F_SETLK, &lock) == 0;
}

/* Not to be asked of this process itself, whose lock would be its own. */
static bool is_alive(const shared_memory *m, uint32_t process) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = process, .l_len = 1};
  return fcntl(m->file, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static size_t round_of(const shared_memory *m, uint32_t process) {
  return atomic_load_explicit(&m->seats[process].round, memory_order_acquire);
}

/* Waits until a process has published the round; it may be one round further. */
static jm_error *await(const shared_memory *m, uint32_t process) {
  const int64_t began = now();
  int64_t looked = began;
  for (size_t seen; (seen = round_of(m, process)) < m->round;) {
    if (now() - began < SPIN_NS && jm_spin_change(&m->seats[process].round, seen)) continue;
    if (m->cancelled && atomic_load(m->cancelled))
      return jm_error_create(JM_CANCELLED, "the client was closed");
    int64_t sleep = (now() - began) / SLEEPS;
    if (sleep > LONGEST_SLEEP) sleep = LONGEST_SLEEP;
    nanosleep(&(struct timespec){0, (long)sleep}, NULL);
    if (now() - looked < LOOK_NS) continue;
    looked = now();
    if (!is_alive(m, process) && round_of(m, process) < m->round)
      return jm_error_create(JM_UNAVAILABLE, "process %u of the job has ended", process);
  }
  return NULL;
}

/* -- rounds */

static jm_error *gather_piece(shared_memory *m, const char *bytes, size_t n, size_t stride,
                              char *out) {
  m->round++;
  const size_t side = m->round & 1;
  seat *own = &m->seats[m->base.rank];
  memcpy(own->buffers[side], bytes, n);
  atomic_store_explicit(&own->round, m->round, memory_order_release);
  for (uint32_t i = 0; i < m->base.size; i++) {
    if (i != m->base.rank) JM_TRY(await(m, i));
    memcpy(out + i * stride, m->seats[i].buffers[side], n);
  }
  return NULL;
}

static jm_error *gather(jm_transport *transport, const void *bytes, size_t n, void *out) {
  shared_memory *m = (shared_memory *)transport;
  for (size_t at = 0; at < n; at += PIECE)
    JM_TRY(gather_piece(m, (const char *)bytes + at, n - at < PIECE ? n - at : PIECE, n,
                        (char *)out + at));
  return NULL;
}

static void destroy(jm_transport *transport) {
  shared_memory *m = (shared_memory *)transport;
  if (m->head) munmap(m->head, m->bytes);
  close(m->file); /* and its lock is given back */
  jm_free(m);
}

/* Maps the file if it is the one, and takes this process's seat. */
static bool map(shared_memory *m, const char *name) {
  struct stat facts;
  char host[HOST] = "";
  if (fstat(m->file, &facts) || facts.st_size != (off_t)m->bytes) return false;
  void *start = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->file, 0);
  if (start == MAP_FAILED) return false;
  m->head = start;
  m->seats = (seat *)(m->head + 1);
  return !memcmp(m->head->token, name, TOKEN) && !gethostname(host, HOST) &&
         !memcmp(m->head->host, host, HOST) && lock_seat(m->file, m->base.rank);
}

jm_error *jm_shared_memory_open(const char *name, uint32_t self, uint32_t n,
                                const atomic_bool *cancelled, jm_transport **out) {
  const int file = open(path_of(name), O_RDWR | O_CLOEXEC);
  if (file < 0) return jm_error_create(JM_UNAVAILABLE, "%.60s can't be opened here", path_of(name));
  shared_memory *m = jm_alloc(1, sizeof *m);
  if (!m) {
    close(file);
    return jm_error_out_of_memory();
  }
  *m = (shared_memory){{self, n, gather, destroy}, cancelled, file, bytes_of(n), NULL, NULL, 0};
  if (!map(m, name)) {
    destroy(&m->base);
    return jm_error_create(JM_UNAVAILABLE, "%.60s is another file here", path_of(name));
  }
  *out = &m->base;
  return NULL;
}
