#!/bin/sh
# Runs the hand-over fuzz target over its committed corpus.
exec tests/fuzz/fuzz_handover "${srcdir:-.}/tests/fuzz/corpus/handover"
