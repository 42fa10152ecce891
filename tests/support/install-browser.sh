#!/bin/sh
# Chromium for the tests of the page, where apt-get can have it; without it they are skipped.
set -u

if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
    exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "chromium and chromedriver are not installed: tests of the page are skipped" >&2
    exit 0
fi
echo "Installing chromium with apt-get"
apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium chromium-driver >/dev/null ||
    echo "chromium could not be installed: tests of the page are skipped" >&2
