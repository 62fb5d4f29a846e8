/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/way.h"

jm_way jm_way_choose(jm_way_history *h, bool has_recording) {
  if (h->is_refused) return JM_WAY_NEVER;
  if (has_recording) return JM_WAY_REPLAY;
  if (h->n_recordings >= JM_WAY_MOST_RECORDINGS) return JM_WAY_NEVER;
  return ++h->n_walks >= h->recorded_run ? JM_WAY_RECORD : JM_WAY_WALK;
}

bool jm_way_take(jm_way_history *h, jm_way way) {
  h->is_refused |= way == JM_WAY_NEVER;
  return way == JM_WAY_NEVER || way == JM_WAY_RECORD;
}

void jm_way_recorded(jm_way_history *h, bool by_all) {
  h->n_recordings++;
  h->is_refused |= !by_all;
}
