#!/usr/bin/env bash
# Whether free four-level books and a third trit-plane earn their bits, on random numbers (docs/decisions/0012-grids.md):
#   ./dev study grids
set -euo pipefail
exec "$PLANELOOM_PYTHON" tools/studies/grids.py
