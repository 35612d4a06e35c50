/* main.c - `plumbline VERB ...`: finds the verb and hands over. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} verbs[] = {
    {"check", cli_check, "check an inventory: all errors at once, each with its place"},
    {"migrate", cli_migrate, "bring the database to this release's schema"},
    {"apply", cli_apply, "show what an inventory changes, and put it in force"},
    {"slice", cli_slice, "print what one probe needs of the inventory"},
    {"enrol", cli_enrol, "make what a host needs to be a probe, and its line for Redis"},
    {"revoke", cli_revoke, "take a probe's certificate and its access back"},
    {"status", cli_status, "what is measured now, worst first"},
    {"probes", cli_probes, "each probe's release, silence, spool, clock, certificate, worst first"},
    {"forget", cli_forget, "close a source that is silent for good"},
    {"maintenance", cli_maintenance, "announce, move, cancel, list, import windows of maintenance"},
    {"exclude", cli_exclude, "take time out of what was promised, with reason and approval"},
    {"sla", cli_sla, "where each promise stands: value, limit, budget left, worst first"},
    {"explain", cli_explain, "how a verdict came about, with what was excluded and why"},
    {"credits", cli_credits, "what missed promises give back: list, claim, approve, reject, issue"},
    {"problems", cli_problems, "what is wrong now, and what was: one line a problem"},
    {"show", cli_show, "all that is known of one problem: cause, evidence, alarms, tickets"},
    {"ack", cli_ack, "take a problem: nobody is reminded of it until it ends"},
    {"handover", cli_handover, "what whoever comes next must know, on one page"},
    {"hooks", cli_hooks, "who is told of problems, and whether it arrives: list, test, retry"},
    {"ping", cli_ping, "test a path to any STAMP or TWAMP-Light reflector"},
    {"reflect", cli_reflect, "answer test packets in the foreground"},
};

static void
usage(FILE *to)
{
    fputs("usage: plumbline VERB [OPTION ...]\n\n", to);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        fprintf(to, "  %-11s %s\n", verbs[i].name, verbs[i].help);
    }
    fputs("\n`plumbline VERB --help` shows options and examples; plumbline(1) has the rest.\n", to);
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return EXIT_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("plumbline " PLUMBLINE_VERSION);
        return EXIT_GOOD;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "plumbline: there is no verb '%s'; `plumbline --help` lists them\n", argv[1]);
    return EXIT_USAGE;
}
