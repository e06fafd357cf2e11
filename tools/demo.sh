#!/usr/bin/env bash
# The demo: everything is one subcommand, so that it can be tried without this script.
exec build/release/planeloom demo --out build/demo "$@"
