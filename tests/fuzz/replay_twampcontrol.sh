#!/bin/sh
# Runs the TWAMP-Control fuzz target over its committed corpus.
exec tests/fuzz/fuzz_twampcontrol "${srcdir:-.}/tests/fuzz/corpus/twampcontrol"
