# Unpacks a new copy of the project from standard input into the place $1, and takes over what was installed there.
umask 077
cd "$1" || exit 92
rm -rf next last
mkdir next || exit 92
# Links are kept as they are; the tar of busybox wants to be told.
EXTRACT_UNSAFE_SYMLINKS=1 tar -xf - -C next || exit 93
for made in .venv node_modules; do
    if [ -d "workspace/$made" ] && [ ! -L workspace ] && [ ! -L "workspace/$made" ] && [ ! -e "next/$made" ]; then
        mv "workspace/$made" next/ || exit 94
    fi
done
mv workspace last 2>/dev/null
mv next workspace || exit 94
rm -rf last
