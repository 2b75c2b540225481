# Becomes the server: the command line that follows, with what was installed for it before all else.
here=$(pwd)
if [ -d node_modules/.bin ]; then
    PATH=$here/node_modules/.bin:$PATH
fi
if [ -d .venv/bin ]; then
    VIRTUAL_ENV=$here/.venv PATH=$here/.venv/bin:$PATH
    export VIRTUAL_ENV
fi
export PATH
# Some images have only the one name.
if [ "$1" = python ] && ! command -v python >/dev/null 2>&1; then
    shift
    set -- python3 "$@"
fi
command -v "$1" >/dev/null 2>&1 || {
    echo "envdeck: command not found: $1" >&2
    exit 127
}
exec "$@"
