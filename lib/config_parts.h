/* config_parts.h - what the files of config.h share, and nobody else: config_server.c (sections
 * that several programs have), config_probe.c (probe.yaml), config.c (the other two, and loading).
 */
#ifndef PLUMBLINE_CONFIG_PARTS_H
#define PLUMBLINE_CONFIG_PARTS_H

#include "bind.h"
#include "config.h"
#include "fault.h"
#include "pool.h"
#include "yaml.h"

#define CONFIG_DAY_NS (86400 * (uint64_t)NS_PER_S)

/* One for each program: its keys, and what no table can say. */
struct config_program {
    const struct bind_key *keys;
    size_t size;
    void (*finish)(struct bind *b, const struct yaml_node *root, void *object);
};
extern const struct config_program config_probe_program;

/* Tables of sections, and the checks that go with them.  The command line also runs where a server
 * is not to be spoken to: its tables have defaults. */
extern const struct bind_key config_redis_keys[], config_cli_redis_keys[];
extern const struct bind_key config_postgresql_keys[], config_cli_postgresql_keys[];
extern const struct bind_key config_metrics_keys[];
extern const struct bind_word config_level_words[];

void config_check_redis(struct faults *faults, const struct yaml_node *root,
                        const struct config_redis *redis);
void config_check_postgresql(struct faults *faults, const struct yaml_node *root,
                             const struct config_postgresql *pg);
void config_check_metrics(struct faults *faults, const struct yaml_node *root,
                          const struct config_metrics *metrics);

/* The place of 'section.key' where it is written, of the file where it is not. */
struct place config_place(const struct yaml_node *root, const char *section, const char *key);

#endif
