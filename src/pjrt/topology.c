/* SPDX-License-Identifier: Apache-2.0
 * Topologies: the descriptions of devices, with a client or without. */
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "pjrt/pjrt.h"

jm_error *jm_slot_TopologyDescription_Create(PJRT_TopologyDescription_Create_Args *args) {
  if (args->num_options)
    return jm_error_invalid("PJRT_TopologyDescription_Create takes no options, %zu were given",
                            args->num_options);
  jm_topology *topology = jm_alloc(1, sizeof *topology);
  if (!topology) return jm_error_out_of_memory();
  jm_error *error = jm_topology_read(topology);
  if (error) {
    jm_free(topology);
    return error;
  }
  args->topology = jm_topology_out(topology);
  return NULL;
}

jm_error *jm_slot_TopologyDescription_Destroy(PJRT_TopologyDescription_Destroy_Args *args) {
  jm_free(jm_topology_in(args->topology));
  return NULL;
}

jm_error *jm_slot_TopologyDescription_PlatformName(
    PJRT_TopologyDescription_PlatformName_Args *args) {
  args->platform_name = JM_PLATFORM;
  args->platform_name_size = strlen(JM_PLATFORM);
  return NULL;
}

jm_error *jm_slot_TopologyDescription_PlatformVersion(
    PJRT_TopologyDescription_PlatformVersion_Args *args) {
  args->platform_version = jm_topology_in(args->topology)->platform_version;
  args->platform_version_size = strlen(args->platform_version);
  return NULL;
}

jm_error *jm_slot_TopologyDescription_GetDeviceDescriptions(
    PJRT_TopologyDescription_GetDeviceDescriptions_Args *args) {
  jm_topology *topology = jm_topology_in(args->topology);
  args->descriptions = (PJRT_DeviceDescription *const *)topology->list;
  args->num_descriptions = topology->n_devices;
  return NULL;
}

jm_error *jm_slot_TopologyDescription_Attributes(PJRT_TopologyDescription_Attributes_Args *args) {
  args->attributes = NULL;
  args->num_attributes = 0;
  return NULL;
}

/* The serialised form is text, "<platform_version>\n" and a line with the count of devices of each
 * process. */
struct PJRT_SerializedTopology {
  jm_text text;
};

/* Devices of the process whose first one this is. */
static uint32_t count_devices(const jm_topology *topology, uint32_t first) {
  uint32_t n = 1;
  while (first + n < topology->n_devices &&
         topology->devices[first + n].process == topology->devices[first].process)
    n++;
  return n;
}

static void delete_serialized(PJRT_SerializedTopology *serialized) {
  jm_text_deinit(&serialized->text);
  jm_free(serialized);
}

jm_error *jm_slot_TopologyDescription_Serialize(PJRT_TopologyDescription_Serialize_Args *args) {
  jm_topology *topology = jm_topology_in(args->topology);
  PJRT_SerializedTopology *serialized = jm_alloc(1, sizeof *serialized);
  if (!serialized) return jm_error_out_of_memory();
  jm_text_init(&serialized->text);
  jm_text_printf(&serialized->text, "%s\n", topology->platform_version);
  for (uint32_t i = 0, n; i < topology->n_devices; i += n) {
    n = count_devices(topology, i);
    jm_text_printf(&serialized->text, "%u\n", n);
  }
  jm_error *error = jm_text_error(&serialized->text);
  if (error) {
    delete_serialized(serialized);
    return error;
  }
  args->serialized_bytes = serialized->text.bytes;
  args->serialized_bytes_size = serialized->text.size;
  args->serialized_topology = serialized;
  args->serialized_topology_deleter = delete_serialized;
  return NULL;
}

/* A line with a number from 1 to the most devices. */
static bool read_count(const char *bytes, size_t size, size_t *at, uint32_t *out) {
  *out = 0;
  while (*at < size && bytes[*at] >= '0' && bytes[*at] <= '9' && *out <= JM_MAX_DEVICES)
    *out = *out * 10 + (uint32_t)(bytes[(*at)++] - '0');
  return *out >= 1 && *out <= JM_MAX_DEVICES && *at < size && bytes[(*at)++] == '\n';
}

jm_error *jm_slot_TopologyDescription_Deserialize(PJRT_TopologyDescription_Deserialize_Args *args) {
  jm_topology *topology = jm_alloc(1, sizeof *topology);
  if (!topology) return jm_error_out_of_memory();
  const char *bytes = args->serialized_topology;
  size_t size = bytes ? args->serialized_topology_size : 0;
  jm_topology_build_host(0, NULL, topology); /* for its version */
  size_t prefix = strlen(topology->platform_version);
  uint32_t n_devices[JM_MAX_DEVICES], n = 0, total = 0;
  size_t at = prefix + 1;
  bool good =
      size > at && !memcmp(bytes, topology->platform_version, prefix) && bytes[prefix] == '\n';
  while (good && at < size) {
    good = n < JM_MAX_DEVICES && read_count(bytes, size, &at, &n_devices[n]);
    if (good) total += n_devices[n++];
    good = good && total <= JM_MAX_DEVICES;
  }
  if (!good || !n) {
    jm_free(topology);
    return jm_error_invalid("the serialized topology is not one of this plugin's version");
  }
  jm_topology_build_host(n, n_devices, topology);
  args->topology = jm_topology_out(topology);
  return NULL;
}

/* A hash of the contents of the topology's text form. */
jm_error *jm_slot_TopologyDescription_Fingerprint(PJRT_TopologyDescription_Fingerprint_Args *args) {
  jm_topology *topology = jm_topology_in(args->topology);
  uint64_t hash = 14695981039346656037u;
  for (const char *c = topology->platform_version; *c; c++)
    hash = (hash ^ (unsigned char)*c) * 1099511628211u;
  for (uint32_t i = 0; i < topology->n_devices; i++)
    hash = (hash ^ (uint32_t)topology->devices[i].process) * 1099511628211u;
  args->fingerprint = (hash ^ topology->n_devices) * 1099511628211u;
  return NULL;
}
