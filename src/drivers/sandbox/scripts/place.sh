# Makes the place of one server, $1, or finds the one that it has: it must be a directory, and its own.
umask 077
# A sandbox that has only just begun may not have opened the place of all yet.
waited=0
until [ -w "${1%/*}" ] || [ "$waited" -ge 100 ]; do
    waited=$((waited + 1))
    sleep 0.1
done
if [ -L "$1" ]; then
    echo "$1 is a link" >&2
    exit 91
fi
mkdir "$1" 2>/dev/null || { [ -d "$1" ] && [ -O "$1" ]; } || {
    echo "$1 belongs to somebody else" >&2
    exit 91
}
cd "$1" || exit 91
for one in cache home tmp workspace; do
    if [ ! -d "$one" ] || [ -L "$one" ]; then
        rm -rf "$one" && mkdir "$one" || exit 91
    fi
done
