# Sends the signal $1 to all processes of this user and waits, at most $2 tenths of a second, until none is left but
# this one. Nothing that a server started can hide from that, whatever group or session it has put itself into.
left() {
    for one in /proc/[0-9]*; do
        if [ "$one" != "/proc/$$" ] && [ -O "$one" ]; then
            return 0
        fi
    done
    return 1
}
kill -s "$1" -- -1 2>/dev/null
waited=0
while left; do
    if [ "$waited" -ge "$2" ]; then
        exit 75
    fi
    waited=$((waited + 1))
    sleep 0.1
    # What was started in the same moment, too.
    [ "$1" != KILL ] || kill -s KILL -- -1 2>/dev/null
done
exit 0
