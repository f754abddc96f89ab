#!/bin/sh
# The example target's script. A hotfix is small, can be run twice without harm, and exits with something other than 0
# when it could not do its work.
set -eu

printf 'hello from %s (hotfix %s)\n' "${1:-nobody}" "${HOTFIX_ID:-none}"
