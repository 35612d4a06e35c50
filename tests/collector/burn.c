/* burn.c - looks once at how fast budgets are spent, as the purse does each minute.
 *
 * usage: burn CONNINFO INVENTORY NOW HOLD   (seconds) */
#include <stdio.h>
#include <stdlib.h>

#include "burn.h"
#include "inventory.h"

int
main(int argc, char **argv)
{
    struct inventory *inv;
    size_t errors, warnings;
    char why[256] = "out of memory";

    if (argc != 5 || inventory_load(argv[2], stderr, 10, &errors, &warnings, &inv)) {
        return 2;
    }
    PGconn *conn = PQconnectdb(argv[1]);
    PQclear(PQexec(conn, "SET ROLE plumbline_writer"));
    int err = burn_round(conn, inv, span_of_ns(atoll(argv[4]) * NS_PER_S),
                         instant_of_ns(atoll(argv[3]) * NS_PER_S), why, sizeof why);
    if (err) {
        fprintf(stderr, "burn: %s\n", why);
    }
    PQfinish(conn);
    inventory_free(inv);
    return err ? 1 : 0;
}
