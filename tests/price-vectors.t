#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The vectors of the price function are what their maker makes: nobody fitted
# them to wire/price.c.
set -u
if ! command -v python3 >/dev/null 2>&1; then
    echo "1..0 # SKIP python3 is not installed"
    exit 0
fi
data=$XN_SRC/tests/data
echo 1..1
if why=$(python3 "$data/price.py" | cmp - "$data/price.vectors" 2>&1); then
    echo "ok 1 - price.py makes price.vectors"
else
    echo "not ok 1 - price.py makes price.vectors"
    printf '# %s\n' "$why"
fi
