#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compiler launcher: runs the compiler given, keeps ptxas's report beside the object (X.o.ptxas) for
# tests/check_ptxas.py, and passes on what else it said.
object= previous=
for argument; do
  [ "$previous" = -o ] && object=$argument
  previous=$argument
done
said=$("$@" 2>&1)
status=$?
printf '%s\n' "$said" > "$object.ptxas"
printf '%s\n' "$said" | grep -v -e '^ptxas info' -e '^ *[0-9]* bytes stack frame' -e '^$' >&2
exit $status
