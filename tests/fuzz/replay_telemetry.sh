#!/bin/sh
# Runs the telemetry fuzz target over its committed corpus.
exec tests/fuzz/fuzz_telemetry "${srcdir:-.}/tests/fuzz/corpus/telemetry"
