#!/bin/sh
# Runs the RESP fuzz target over its committed corpus.
exec tests/fuzz/fuzz_resp "${srcdir:-.}/tests/fuzz/corpus/resp"
