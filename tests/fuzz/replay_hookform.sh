#!/bin/sh
# The committed corpus through fuzz_hookform, by whatever compiler built it.
exec ./tests/fuzz/fuzz_hookform "${srcdir:-.}/tests/fuzz/corpus/hookform"
