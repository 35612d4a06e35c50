#!/bin/sh
# Runs the spool fuzz target over its committed corpus.
exec tests/fuzz/fuzz_spool "${srcdir:-.}/tests/fuzz/corpus/spool"
