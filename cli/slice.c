/* slice.c - `plumbline slice`: what one probe needs of the inventory, in the
 * format that it reads; nothing of tenants or contracts. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "config.h"
#include "file.h"
#include "inventory.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define SHOWN_MAX 200u

static const char help[] =
    "usage: plumbline slice --probe NAME [OPTION ...] [INVENTORY]\n"
    "\n"
    "Prints what probe NAME needs of INVENTORY (a YAML file, or a folder of them; default:\n"
    "the one that the configuration names): its links, their classes and far ends, and the\n"
    "inventory's generation.  A probe reads it in the place of an inventory; it holds nothing\n"
    "of tenants, contracts or other probes' links.\n"
    "\n"
    "  --probe NAME     for whom; required\n"
    "  --output FILE    write it there, whole or not at all\n"
    "  --config FILE    default /etc/plumbline/plumbline.yaml\n"
    "  --json           print one JSON object, with the slice as a text in it\n"
    "  --help           this text\n"
    "\n"
    "Exit status: 0 good, 2 the inventory is wrong or has no such probe, 3 a file cannot be\n"
    "read or written.\n"
    "\n"
    "Examples:\n"
    "  plumbline slice --probe par1-p1 inventory/\n"
    "  plumbline slice --probe par1-p1 --output par1-p1.yaml inventory/\n"
    "  for p in par1-p1 lon1-p1; do\n"
    "      plumbline slice --probe $p | ssh root@$p 'cat >/etc/plumbline/inventory.yaml.new &&\n"
    "          mv /etc/plumbline/inventory.yaml.new /etc/plumbline/inventory.yaml &&\n"
    "          systemctl reload plumbline-probe'\n"
    "  done\n";

struct slice {
    const char *config, *path, *probe, *output;
    bool json;
};

static void
print_json(const struct inventory *slice, const char *text)
{
    cJSON *o = cJSON_CreateObject();
    char generation[24];

    snprintf(generation, sizeof generation, "%016" PRIx64, (uint64_t)slice->generation);
    cJSON_AddStringToObject(o, "probe", slice->slice_of);
    cJSON_AddNumberToObject(o, "format", 1);
    cJSON_AddStringToObject(o, "generation", generation);
    cJSON_AddNumberToObject(o, "links", (double)slice->link_count);
    cJSON_AddStringToObject(o, "slice", text);
    char *json = cJSON_Print(o);
    puts(json ? json : "{}");
    cJSON_free(json);
    cJSON_Delete(o);
}

static int
put(const struct slice *s, const struct inventory *slice)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    int err = to ? inventory_print(slice, to) : -errno;

    if (to) {
        fclose(to);
    }
    if (!err && s->output) {
        err = file_write(s->output, 0644, text, size);
    }
    if (err) {
        fprintf(stderr, "plumbline slice: %s: %s\n", s->output ? s->output : "the slice",
                strerror(-err));
    } else if (s->json) {
        print_json(slice, text);
    } else if (!s->output) {
        fwrite(text, 1, size, stdout);
    }
    free(text);
    return err || fflush(stdout) ? EXIT_UNAVAILABLE : EXIT_GOOD;
}

static int
cut(const struct slice *s)
{
    struct inventory *inv = NULL, *slice = NULL;
    size_t errors, warnings;
    int err = inventory_load(s->path, stderr, SHOWN_MAX, &errors, &warnings, &inv);

    if (err) {
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    err = inventory_slice(inv, s->probe, &slice);
    if (err) {
        fprintf(stderr, "plumbline slice: there is no probe '%s' in %s\n", s->probe, s->path);
    }
    int status = err ? EXIT_USAGE : put(s, slice);
    inventory_free(slice);
    inventory_free(inv);
    return status;
}

static int
run(struct slice *s)
{
    struct cli_config *config = NULL;
    int status = EXIT_USAGE;

    if (!s->path) {
        int err = cli_config_load(s->config, stderr, &config);
        if (err) {
            return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
        }
        s->path = config->inventory;
    }
    if (s->path) {
        status = cut(s);
    } else {
        fprintf(stderr, "plumbline slice: which inventory? %s names none\n", s->config);
    }
    cli_config_free(config);
    return status;
}

int
cli_slice(int argc, char **argv)
{
    static const struct option options[] = {
        {"probe", required_argument, NULL, 'p'},  {"output", required_argument, NULL, 'o'},
        {"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    struct slice s = {.config = DEFAULT_CONFIG};
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 'p') {
            s.probe = optarg;
        } else if (o == 'o') {
            s.output = optarg;
        } else if (o == 'c') {
            s.config = optarg;
        } else if (o == 'j') {
            s.json = true;
        } else if (o == 'h') {
            fputs(help, stdout);
            return EXIT_GOOD;
        } else {
            fputs("`plumbline slice --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (!s.probe || argc - optind > 1) {
        fputs(
            "plumbline slice: --probe NAME is needed, and at most one inventory; `plumbline slice "
            "--help` has examples\n",
            stderr);
        return EXIT_USAGE;
    }
    s.path = argv[optind];
    return run(&s);
}
