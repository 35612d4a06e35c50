#!/bin/sh
# Runs the ICMP echo fuzz target over its committed corpus.
exec tests/fuzz/fuzz_echo "${srcdir:-.}/tests/fuzz/corpus/echo"
