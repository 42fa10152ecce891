#!/bin/sh
# Makes sure that mosquitto is installed: with apt-get where that is possible, else says what to type.
set -eu

PATH="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
if command -v mosquitto >/dev/null; then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "mosquitto, the MQTT broker, is not installed. Type one of:" >&2
    echo "    brew install mosquitto          macOS" >&2
    echo "    sudo dnf install mosquitto      Fedora; with the EPEL repository, Red Hat and the like" >&2
    echo "    sudo pacman -S mosquitto        Arch" >&2
    echo "    sudo apk add mosquitto          Alpine" >&2
    echo "or set MQTT_HOST (TEST_MQTT_HOST for tests) to a broker you have." >&2
    exit 1
fi

if [ "$(id -u)" = 0 ]; then
    root=
elif [ -t 0 ] && command -v sudo >/dev/null; then
    root=sudo
elif sudo -n true 2>/dev/null; then
    root="sudo -n"
else
    echo "mosquitto, the MQTT broker, is not installed. Type: sudo apt-get install mosquitto" >&2
    exit 1
fi

echo "Installing mosquitto, the MQTT broker, with apt-get"
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends mosquitto
