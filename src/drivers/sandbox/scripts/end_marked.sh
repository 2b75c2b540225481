# Ends all processes that have ENVDECK_MARK=$1 in their environment, which their children inherit: waits for $2 tenths
# of a second, asks them to end, waits for $3, kills them, waits for $4.
mark=$1
left() {
    found=
    for one in /proc/[0-9]*; do
        if tr '\0' '\n' 2>/dev/null <"$one/environ" | grep -qxF "ENVDECK_MARK=$mark"; then
            found="$found ${one#/proc/}"
        fi
    done
    [ -n "$found" ]
}
wait_for_end() {
    waited=0
    while left; do
        [ "$waited" -lt "$1" ] || return 1
        waited=$((waited + 1))
        sleep 0.1
        # What was started in the same moment, too.
        [ -z "$2" ] || kill -s "$2" $found
    done
    return 0
}
command -v grep >/dev/null && command -v tr >/dev/null || exit 127
exec 2>/dev/null
wait_for_end "$2" && exit 0
if [ "$3" -gt 0 ]; then
    kill -s TERM $found
    wait_for_end "$3" && exit 0
fi
left && kill -s KILL $found
wait_for_end "$4" KILL || exit 75
