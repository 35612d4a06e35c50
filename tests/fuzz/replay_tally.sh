#!/bin/sh
# Runs the tally fuzz target over its committed corpus.
exec tests/fuzz/fuzz_tally "${srcdir:-.}/tests/fuzz/corpus/tally"
