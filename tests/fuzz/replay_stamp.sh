#!/bin/sh
# Runs the STAMP fuzz target over its committed corpus.
exec tests/fuzz/fuzz_stamp "${srcdir:-.}/tests/fuzz/corpus/stamp"
