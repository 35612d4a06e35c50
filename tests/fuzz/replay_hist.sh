#!/bin/sh
# Runs the hist fuzz target over its committed corpus.
exec tests/fuzz/fuzz_hist "${srcdir:-.}/tests/fuzz/corpus/hist"
