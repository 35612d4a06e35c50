/* ping_result.h - what came of a one-shot test, as people and as programs read it.
 *
 * After ping_run.h, before ping.c.  Each prints to standard output. */
#ifndef PLUMBLINE_PING_RESULT_H
#define PLUMBLINE_PING_RESULT_H

struct ping_run;

void ping_result_print_text(const struct ping_run *p);
void ping_result_print_json(const struct ping_run *p);

/* The exit status (cli.h); why nothing was sent goes to standard error. */
int ping_result_verdict(const struct ping_run *p);

#endif
