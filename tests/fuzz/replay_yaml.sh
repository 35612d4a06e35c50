#!/bin/sh
# The committed corpus through fuzz_yaml, by whatever compiler built it.
exec ./tests/fuzz/fuzz_yaml "${srcdir:-.}/tests/fuzz/corpus/yaml"
