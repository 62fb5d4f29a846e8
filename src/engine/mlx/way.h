/* SPDX-License-Identifier: Apache-2.0
 * Which way a run of a program goes: it walks the plan, makes a recording (replay.h), or launches
 * the one that was made. Processes that run a program together all go the same way, because each
 * waits in its collectives for the others: each tells which way it would go, and all go the least
 * of these. Numbers alone: who records, and how the processes meet, is not here. */
#ifndef JM_ENGINE_MLX_WAY_H
#define JM_ENGINE_MLX_WAY_H

#include <stdbool.h>
#include <stdint.h>

typedef enum jm_way {
  JM_WAY_NEVER,  /* walk, in all later runs, too: there is nothing to record, or it does not pay */
  JM_WAY_WALK,   /* walk this time */
  JM_WAY_RECORD, /* make a recording, and launch it */
  JM_WAY_REPLAY, /* launch the recording */
} jm_way;

enum {
  JM_WAY_MOST_RECORDINGS = 4, /* of a program: arguments that move after all are copied in the next
                                 one */
};

/* A program's runs in this process. */
typedef struct jm_way_history {
  uint32_t recorded_run; /* the first that may be recorded, from 1 on */
  uint32_t n_walks;      /* runs that had no recording to launch */
  uint32_t n_recordings; /* made so far */
  bool is_refused;
} jm_way_history;

/* Counts a run, and says which way this process would go. has_recording: one that fits the run's
 * arguments. */
jm_way jm_way_choose(jm_way_history *h, bool has_recording);

/* All go this way. True: a recording that was made is of no further use. */
bool jm_way_take(jm_way_history *h, jm_way way);

/* A recording was made, in all processes or not: then in none. */
void jm_way_recorded(jm_way_history *h, bool by_all);

#endif
