# Installs what the project in the current directory needs ($1: python or node), unless that was done before for the
# same manifests and the same interpreter, which the file $2 tells.
set -eu
mark=$2
say() { echo "$*" >&2; }
need() {
    command -v "$1" >/dev/null 2>&1 || {
        say "the image has no $1"
        exit 127
    }
}
manifests() {
    for file; do
        if [ -f "$file" ]; then
            echo "$file"
            cat "$file"
        fi
    done | sha256sum
}
unchanged() { [ -d "$1" ] && [ "$(cat "$mark" 2>/dev/null)" = "$key" ]; }

case $1 in
python)
    python=python3
    command -v python3 >/dev/null 2>&1 || python=python
    need $python
    key="$(manifests requirements.txt pyproject.toml setup.py setup.cfg) $(command -v $python) $($python -VV)"
    if unchanged .venv && [ -x .venv/bin/python ]; then
        say "dependencies are as they were: nothing to install"
        exit 0
    fi
    rm -rf "$mark" .venv "$TMPDIR/source"
    # Building a package leaves files where its source is.
    [ -f requirements.txt ] || cp -R . "$TMPDIR/source"
    if command -v uv >/dev/null 2>&1; then
        uv venv .venv
        install() { uv pip install --python .venv/bin/python "$@"; }
    else
        $python -m venv .venv
        install() { .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@"; }
    fi
    if [ -f requirements.txt ]; then
        install -r requirements.txt
    else
        install "$TMPDIR/source"
        rm -rf "$TMPDIR/source"
    fi
    ;;
node)
    need node
    need npm
    key="$(manifests package.json package-lock.json npm-shrinkwrap.json) $(command -v node) $(node --version)"
    if unchanged node_modules; then
        say "dependencies are as they were: nothing to install"
        exit 0
    fi
    rm -rf "$mark"
    if [ -f package-lock.json ] || [ -f npm-shrinkwrap.json ]; then
        npm ci --no-audit --no-fund --no-progress
    else
        npm install --no-audit --no-fund --no-progress --no-package-lock
    fi
    # Where nothing is needed npm makes none.
    mkdir -p node_modules
    ;;
esac
echo "$key" >"$mark"
