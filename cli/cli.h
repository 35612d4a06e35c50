/* cli.h - the operator's command: one function a verb.
 *
 * Exit codes: 0 done and good; 1 done, and the answer is bad (loss, stale);
 * 2 wrong usage or wrong input, told with what to do; 3 something needed was not
 * there (server, file, permission). */
#ifndef PLUMBLINE_CLI_H
#define PLUMBLINE_CLI_H

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2, EXIT_UNAVAILABLE = 3 };

/* argv[0] is the verb.  Each has --help with examples, and --json where it
 * prints data. */
int cli_check(int argc, char **argv);
int cli_migrate(int argc, char **argv);
int cli_apply(int argc, char **argv);
int cli_slice(int argc, char **argv);
int cli_enrol(int argc, char **argv);
int cli_revoke(int argc, char **argv);
int cli_probes(int argc, char **argv);
int cli_forget(int argc, char **argv);
int cli_maintenance(int argc, char **argv);
int cli_exclude(int argc, char **argv);
int cli_sla(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_credits(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_problems(int argc, char **argv);
int cli_show(int argc, char **argv);
int cli_ack(int argc, char **argv);
int cli_handover(int argc, char **argv);
int cli_hooks(int argc, char **argv);
int cli_ping(int argc, char **argv);
int cli_reflect(int argc, char **argv);

#endif
