#!/bin/sh
# The committed corpus through fuzz_hooktemplate, by whatever compiler built it.
exec ./tests/fuzz/fuzz_hooktemplate "${srcdir:-.}/tests/fuzz/corpus/hooktemplate"
