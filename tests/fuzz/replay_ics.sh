#!/bin/sh
# The committed corpus through fuzz_ics, by whatever compiler built it.
exec ./tests/fuzz/fuzz_ics "${srcdir:-.}/tests/fuzz/corpus/ics"
