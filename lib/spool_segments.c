/* spool_segments.c - the segments of a spool: their names, what is known of each, reading the
 * folder, letting one go. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "spool_parts.h"

void
spool_segment_name(char name[SPOOL_NAME_SIZE], uint64_t epoch, uint64_t first)
{
    snprintf(name, SPOOL_NAME_SIZE, "%020" PRIu64 "-%020" PRIu64 ".seg", epoch, first);
}

static bool
parse_decimal(const char *text, uint64_t *out)
{
    uint64_t v = 0;

    for (int i = 0; i < 20; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

static bool
segment_name_parse(const char *name, uint64_t *epoch, uint64_t *first)
{
    return strlen(name) == 45 && name[20] == '-' && strcmp(name + 41, ".seg") == 0 &&
           parse_decimal(name, epoch) && parse_decimal(name + 21, first) && *epoch > 0;
}

void
spool_segment_free(struct segment *segment)
{
    if (segment) {
        free(segment->marks);
        free(segment);
    }
}

static int
segment_compare(const struct segment *a, const struct segment *b)
{
    return position_compare((struct position){a->epoch, a->first},
                            (struct position){b->epoch, b->first});
}

int
spool_segment_insert(struct spool *s, struct segment *segment)
{
    size_t i = s->segment_count;

    if (s->segment_count == s->segment_room) {
        size_t room = s->segment_room ? s->segment_room * 2 : 64;
        struct segment **grown = reallocarray(s->segments, room, sizeof(*grown));
        if (!grown) {
            return -ENOMEM;
        }
        s->segments = grown;
        s->segment_room = room;
    }
    for (; i > 0 && segment_compare(segment, s->segments[i - 1]) < 0; i--) {
        s->segments[i] = s->segments[i - 1];
    }
    s->segments[i] = segment;
    s->segment_count++;
    return 0;
}

void
spool_reader_reset(struct spool *s)
{
    struct spool_reader *r = &s->reader;

    segment_view_fini(&r->view);
    if (r->fd >= 0) {
        close(r->fd);
    }
    *r = (struct spool_reader){.fd = -1, .hint = r->hint};
}

void
spool_segment_delete(struct spool *s, size_t i)
{
    struct segment *segment = s->segments[i];
    char name[SPOOL_NAME_SIZE];

    assert(segment != s->active);
    if (s->reader.segment == segment) {
        spool_reader_reset(s);
    }
    spool_segment_name(name, segment->epoch, segment->first);
    if (unlinkat(s->folder_fd, name, 0) != 0 && errno != ENOENT) {
        s->last_errno = errno;
    }
    spool_segment_free(segment);
    s->segment_count--;
    memmove(s->segments + i, s->segments + i + 1, (s->segment_count - i) * sizeof(*s->segments));
}

int
spool_segment_note(struct segment *g, const struct segment_item *item)
{
    const struct record_header *h = &item->header;

    g->next = item->first + item->count;
    if (!item->whole) {
        return 0;
    }
    if (h->until.ns != 0) {
        if (g->head_until.ns == 0) {
            g->head_from = h->from;
            g->head_until = h->until;
        }
        g->tail_from = h->from;
        g->tail_until = h->until;
        if (instant_before(g->covered, h->until)) {
            g->covered = h->until;
        }
    }
    if (g->mark_count > 0 && item->at - g->marks[g->mark_count - 1].at < SPOOL_MARK_EVERY) {
        return 0;
    }
    if (g->mark_count == g->mark_room) {
        size_t room = g->mark_room ? g->mark_room * 2 : 8;
        struct mark *grown = reallocarray(g->marks, room, sizeof(*grown));
        if (!grown) {
            return -ENOMEM;
        }
        g->marks = grown;
        g->mark_room = room;
    }
    g->marks[g->mark_count++] = (struct mark){item->first, item->at};
    return 0;
}

static int
segment_scan(struct segment *g, struct segment_view *view)
{
    struct segment_walk walk = {
        .view = view, .epoch = g->epoch, .at = SEGMENT_HEADER_SIZE, .expected = g->first};
    struct segment_item item;
    int err;

    while ((err = segment_walk_next(&walk, &item)) > 0) {
        if (!item.whole || item.torn) {
            g->damaged += item.count;
        }
        err = spool_segment_note(g, &item);
        if (err) {
            return err;
        }
    }
    return err;
}

/* Reads one segment; '*out' is NULL if no record was begun in it, or if it was
 * begun to stand in for others and never finished: then the file goes. */
static int
segment_load(struct spool *s, const char *name, uint64_t epoch, uint64_t first,
             struct segment **out)
{
    struct segment_header header = {0};
    struct segment_view view;
    struct stat st;
    int err = 0;
    int fd = openat(s->folder_fd, name, O_RDONLY | O_CLOEXEC);

    *out = NULL;
    if (fd < 0 || fstat(fd, &st) != 0) {
        err = -errno;
        goto no_file;
    }
    struct segment *g = calloc(1, sizeof(*g));
    if (!g) {
        err = -ENOMEM;
        goto no_file;
    }
    *g = (struct segment){.epoch = epoch,
                          .first = first,
                          .next = first,
                          .size = (uint64_t)st.st_size,
                          .written = instant_of_timespec(st.st_mtim)};
    segment_view_file(&view, fd, g->size);
    if (g->size >= SEGMENT_HEADER_SIZE) {
        const uint8_t *bytes = segment_view_get(&view, 0, SEGMENT_HEADER_SIZE);
        enum segment_verdict v =
            bytes ? segment_header_parse(bytes, SEGMENT_HEADER_SIZE, &header) : SEGMENT_DAMAGED;
        err = !bytes ? -ENOMEM : v == SEGMENT_NEWER_FORMAT ? -EPROTONOSUPPORT : 0;
        if (v == SEGMENT_OK && header.epoch == epoch && header.first == first) {
            g->previous = header.previous;
            g->flags = header.flags;
        }
        if (!err) {
            err = segment_scan(g, &view);
        }
    }
    segment_view_fini(&view);
    bool finished = !(g->flags & SEGMENT_REPLACES);
    for (size_t i = 0; i < s->superseded_count; i++) {
        finished |= s->superseded[i].by == epoch;
    }
    if (!err && finished && g->next > g->first) {
        *out = g;
    } else {
        spool_segment_free(g);
        if (!err && unlinkat(s->folder_fd, name, 0) != 0) {
            err = -errno;
        }
    }
no_file:
    if (fd >= 0) {
        close(fd);
    }
    return err;
}

int
spool_segments_load(struct spool *s)
{
    int fd = openat(s->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *e;
    int err = 0;

    if (!dir) {
        err = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    while (!err && (e = readdir(dir)) != NULL) {
        struct segment *segment = NULL;
        uint64_t epoch, first;
        if (!segment_name_parse(e->d_name, &epoch, &first)) {
            continue;
        }
        err = segment_load(s, e->d_name, epoch, first, &segment);
        if (err) {
            log_warnx("spool: %s: %s", e->d_name, strerror(-err));
        } else if (segment) {
            err = spool_segment_insert(s, segment);
            if (err) {
                spool_segment_free(segment);
            }
        }
    }
    closedir(dir);
    return err;
}

/* Whether every record of it is acknowledged or goes by another ID now. */
bool
spool_segment_let_go(const struct spool *s, const struct segment *g)
{
    struct position first = {g->epoch, g->first}, last = {g->epoch, g->next - 1};

    if (g->next == g->first) {
        return false;
    }
    if (position_compare(last, s->acked) <= 0) {
        return true;
    }
    for (size_t i = 0; i < s->superseded_count; i++) {
        const struct superseded *r = s->superseded + i;
        struct position from = position_before(r->from);
        bool covered =
            position_compare(s->acked, from) >= 0 || position_compare(first, r->from) >= 0;
        if (covered && position_compare(last, r->from) >= 0 && position_compare(last, r->to) <= 0) {
            return true;
        }
    }
    return false;
}
