#!/bin/sh
# The image's default command: migrate, again and again while the database comes up, then serve the api.
set -u

# In the background, so that this shell, which is process 1, gets the signal of `docker stop`.
migrate=
trap '[ -z "$migrate" ] || kill "$migrate" 2>/dev/null; exit 143' TERM INT
while :; do
    ecs-backend migrate &
    migrate=$!
    wait "$migrate"
    ended=$?
    migrate=
    case $ended in
        0) break ;;
        2) exit 2 ;; # a setting is wrong: trying again would not help
    esac
    sleep 1
done

trap - TERM INT
exec ecs-backend api
