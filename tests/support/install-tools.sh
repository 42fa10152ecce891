#!/bin/sh
# What some tests use besides, where apt-get can have it: Chromium for the page, promtool for the alert rules. Tests that
# miss one are skipped and say so.
set -u

missing=
command -v chromium >/dev/null && command -v chromedriver >/dev/null || missing="chromium chromium-driver"
command -v promtool >/dev/null || missing="$missing prometheus"
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "Not installed: $missing. Tests that need them are skipped." >&2
    exit 0
fi
echo "Installing $missing with apt-get"
apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $missing >/dev/null ||
    echo "$missing could not be installed: tests that need them are skipped" >&2
exit 0
