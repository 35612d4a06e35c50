#!/bin/bash
# test-truth.sh - the judge is judged: truth.py calls equal what is equal, and
# finds each single lie.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/base.sh
. "$here/../lib/base.sh"

need_program python3
test_init truth
python3 "$here/truth_test.py" "$here/truth.py" "$TEST_DIR" >"$TEST_DIR/result" 2>&1 || cat "$TEST_DIR/result"
while IFS=$'\t' read -r verdict sentence; do
    check "$sentence" test "$verdict" = ok
done <"$TEST_DIR/result"
check 'all was tried' test "$(wc -l <"$TEST_DIR/result")" -eq 21
test_end
