#!/bin/sh
# Starts the engine as one of several: with a name of its own in the consumer group, which it keeps over restarts, and with the
# addresses of the others, so that each answers for the whole group. POD_NAME ends in the pod's number, REPLICAS is how many there are.
set -eu

own=${POD_NAME##*-}
peers=
number=0
while [ "$number" -lt "$REPLICAS" ]; do
    if [ "$number" -ne "$own" ]; then
        peers=${peers:+$peers,}http://pulselake-$number.pulselake-members:9464
    fi
    number=$((number + 1))
done
export PULSELAKE_HTTP__PEERS="${peers:-[]}"
export PULSELAKE_KAFKA__GROUP_INSTANCE_ID="$POD_NAME"
exec pulselake run
