#!/bin/bash
# man.sh - the manual pages are as mdoc(7) wants them.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/base.sh
. "$here/../lib/base.sh"
need_program mandoc
test_init man

# faults PAGE: without what depends on which pages are installed, and how long lines of source are,
# which nobody sees who reads the page.  Findings are what it prints; what it says on stderr is of
# its list of installed pages, and would fall into the middle of a line.
faults() { mandoc -T lint "$1" 2>/dev/null | grep -v 'STYLE: input text line longer than 80 bytes\|STYLE: referenced manual not found'; }

for page in "$here"/../../man/*.[1-9]; do
    check_equal "${page##*/} has no faults" '' "$(faults "$page")"
    check "${page##*/} can be shown" mandoc -T utf8 -W error "$page" >/dev/null
done
# What would find nothing would find no fault.
printf '.Dd November 22, 2026\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd x\n.Xx wrong\n' >"$TEST_DIR/x.1"
check 'a fault is found' test -n "$(faults "$TEST_DIR/x.1")"
test_end
