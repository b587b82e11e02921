#!/bin/sh
# Fills five rows, one after another, and writes down how far it has come: a run that follows a killed one goes on there.
set -eu
done=$(cat "$BELLWETHER_RECORD")
row=$((${done:-0} + 1))
while [ "$row" -le 5 ]; do
    echo "row $row, attempt $BELLWETHER_ATTEMPT"
    sleep "${ROW_SECS:-0.2}"
    echo "row $row" >>"$BELLWETHER_VOLUME/journal"
    echo "$row" >"$BELLWETHER_RECORD"
    row=$((row + 1))
done
