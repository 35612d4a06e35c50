/* spool_tombstone.c - the batch that stands in the place of a record that is gone. */
#include <errno.h>
#include <stdlib.h>

#include "spool_parts.h"
#include "telemetry.pb-c.h"

int
spool_tombstone(struct spool *s, struct position id, struct instant from, struct instant until,
                int reason, struct spool_record *out)
{
    Plumbline__Telemetry__Batch batch;
    Plumbline__Telemetry__Tombstone tombstone;
    Plumbline__Telemetry__EpochStart start;
    const struct epoch_entry *e = spool_epoch(s, id.epoch);

    plumbline__telemetry__batch__init(&batch);
    plumbline__telemetry__tombstone__init(&tombstone);
    plumbline__telemetry__epoch_start__init(&start);
    batch.format = 1;
    batch.source = s->source;
    batch.tombstone = &tombstone;
    tombstone.from_ns = from.ns;
    tombstone.until_ns = until.ns;
    tombstone.reason = (Plumbline__Telemetry__Tombstone__Reason)reason;
    if (id.sequence == 0) {
        start.epoch = id.epoch;
        start.previous_epoch = e ? e->previous.epoch : 0;
        start.previous_last_sequence = e ? e->previous.sequence : 0;
        batch.epoch_start = &start;
    }
    size_t size = plumbline__telemetry__batch__get_packed_size(&batch);
    if (s->made_room < size) {
        uint8_t *grown = realloc(s->made, size);
        if (!grown) {
            return -ENOMEM;
        }
        s->made = grown;
        s->made_room = size;
    }
    plumbline__telemetry__batch__pack(&batch, s->made);
    *out = (struct spool_record){.position = id,
                                 .bytes = s->made,
                                 .size = size,
                                 .from = from,
                                 .until = until,
                                 .tombstone = true};
    return 0;
}
