#!/bin/sh
# Runs the outage fuzz target over its committed corpus.
exec tests/fuzz/fuzz_outage "${srcdir:-.}/tests/fuzz/corpus/outage"
