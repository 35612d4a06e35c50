#!/bin/sh
# Runs the fuzz target of a path's answers over its committed corpus.
exec tests/fuzz/fuzz_hops "${srcdir:-.}/tests/fuzz/corpus/hops"
