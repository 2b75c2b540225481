"""Layers and images in the format of `docker save`, byte for byte the same from the same files.

`docker load` of such an archive needs neither a builder nor a registry, and works on every engine.
https://github.com/moby/docker-image-spec/blob/main/spec.md
"""

import hashlib
import io
import json
import os
import stat
import tarfile

EPOCH = 1735689600  # 2025-01-01: every file and image carries this time
EPOCH_TEXT = "2025-01-01T00:00:00Z"


def write_layer(stage, path):
    """Writes the tree `stage` as a layer, owned by root, and returns its digest."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for folder, folders, files in os.walk(stage):
            folders.sort()
            linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in sorted(files + linked):
                _add(tar, stage, os.path.join(folder, name))
            for name in folders:
                if name not in linked:
                    _add(tar, stage, os.path.join(folder, name))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(tar, stage, path):
    entry = tar.gettarinfo(path, arcname=os.path.relpath(path, stage))
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    entry.pax_headers = {}
    if entry.isdir():
        entry.mode = 0o1777 if entry.name == "tmp" else 0o755
        tar.addfile(entry)
    elif entry.isreg() or entry.islnk():
        status = os.stat(path)
        entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", status.st_size
        entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        with open(path, "rb") as file:
            tar.addfile(entry, file)
    else:
        entry.mode = 0o777
        tar.addfile(entry)


def write_images(out, images, architecture):
    """Writes an archive to the stream `out`.

    `images`: a list of (reference, configuration, layers), a layer being (path, digest), the lowest first.
    """
    with tarfile.open(fileobj=out, mode="w|") as tar:
        manifest, written = [], set()
        for reference, configuration, layers in images:
            config = json.dumps(
                {
                    "architecture": architecture,
                    "os": "linux",
                    "created": EPOCH_TEXT,
                    "config": configuration,
                    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for _, digest in layers]},
                    "history": [{"created": EPOCH_TEXT, "created_by": "tests/images/build"} for _ in layers],
                },
                sort_keys=True,
            ).encode()
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add_bytes(tar, name, config)
            for path, digest in layers:
                if digest not in written:
                    written.add(digest)
                    tar.add(path, arcname=f"{digest}/layer.tar", filter=_anonymous)
            paths = [f"{digest}/layer.tar" for _, digest in layers]
            manifest.append({"Config": name, "RepoTags": [reference], "Layers": paths})
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())


def _add_bytes(tar, name, content):
    entry = _anonymous(tarfile.TarInfo(name))
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _anonymous(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    entry.mode = 0o644
    return entry
