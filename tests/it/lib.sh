# Sourced by every step. The journal is written by nobody else: `WHAT STEP REVISION EPOCH PID NANOSECONDS`.

journal() {
    printf '%s %s %s %s %s %s\n' "$1" "$BELLWETHER_STEP" "$BELLWETHER_REV" "$BELLWETHER_EPOCH" "${2:-$$}" \
        "$(date +%s%N)" >>"$E2E/journal"
}

is_alive() {
    { read -r _ _ state _ <"/proc/$1/stat"; } 2>/dev/null && [ "$state" != Z ] && [ "$state" != X ]
}

# Nobody of this step, of an earlier leadership or of a daemon may be alive any more.
begin() {
    journal start
    while read -r what step _ epoch pid _; do
        case $what in
        start) [ "$pid" = "$$" ] || { [ "$epoch" = "$BELLWETHER_EPOCH" ] && [ "$step" != "$BELLWETHER_STEP" ]; } ;;
        member) false ;;
        *) true ;;
        esac || ! is_alive "$pid" || journal overlap "$pid"
    done <"$E2E/journal"
}

# Passes when the test opens the gate.
gate() {
    : <"$E2E/gate-${1:-$BELLWETHER_STEP}"
}

finish() {
    journal end
}

# What the command writes.
serve() {
    printf 'serve - %s 0 %s %s\n' "$IMAGE_REV" "$$" "$(date +%s%N)" >>"$E2E/journal"
}
