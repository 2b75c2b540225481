"""What is in each layer: trees of files taken from this host and from the package registries."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).parent
PATIENCE = 300  # seconds for one installation; a silent network ends it
CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")

# What a sandbox begins with: an interpreter, and what makes environments for it.
DEBIAN = ("bookworm", "python3,python3-venv,ca-certificates")
# Of Debian, what no server needs.
DOCUMENTS = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists",
             "var/log", "dev"]

# Of the standard library, what no server needs.
UNNEEDED = shutil.ignore_patterns(
    "__pycache__", "site-packages", "dist-packages", "config-*", "test", "tests", "idlelib", "tkinter", "turtledemo",
    "lib2to3", "ensurepip", "pydoc_data", "_tkinter*", "_test*", "*.a", "EXTERNALLY-MANAGED",
)

APPLETS = ["sh", "awk", "base64", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "df", "echo", "env", "expr",
           "false", "find", "free", "grep", "gunzip", "gzip", "head", "hostname", "httpd", "id", "ip", "kill", "ln",
           "ls", "mkdir", "mkfifo", "mktemp", "more", "mount", "mv", "nc", "nslookup", "od", "ping", "printenv",
           "printf", "ps", "pwd", "readlink", "rm", "rmdir", "sed", "seq", "sha256sum", "sleep", "sort", "stat", "stty",
           "sync", "tail", "tar", "tee", "test", "time", "timeout", "top", "touch", "tr", "true", "tty", "umount",
           "uname", "uniq", "vi", "wc", "wget", "which", "whoami", "xargs", "yes"]


class Failed(Exception):
    """Told to the user as it is."""


class Host:
    """The programs of this machine that the layers are made with and from."""

    def __init__(self, cache):
        self.cache = cache
        self.python = getattr(sys, "_base_executable", None) or sys.executable
        self.busybox = self._program("busybox", "busybox-static")
        self.npm = self._program("npm", "npm")
        self.ldd = self._program("ldd", "libc-bin")

    def _program(self, name, package):
        found = shutil.which(name)
        if not found:
            raise Failed(f"{name} is missing: install {package}")
        return found

    def identity(self):
        """Changes whenever one of the files changes that end up in a layer."""
        files = [os.path.realpath(self.python), os.path.realpath(self.busybox), CERTIFICATES]
        marks = [f"{path} {os.stat(path).st_size} {os.stat(path).st_mtime_ns}" for path in files if os.path.exists(path)]
        return "\n".join([sys.version, *marks])

    def run(self, what, *command, patience=PATIENCE, **options):
        """Runs a command that says nothing unless it fails."""
        environment = os.environ | {
            "npm_config_cache": str(self.cache / "npm"),
            "npm_config_update_notifier": "false",
            "PIP_CACHE_DIR": str(self.cache / "pip"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        try:
            done = subprocess.run(
                [str(word) for word in command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=patience, **options)
        except subprocess.TimeoutExpired:
            raise Failed(f"{what}: not done after {patience} s; is the network there?") from None
        if done.returncode:
            raise Failed(f"{what}: {' '.join(map(str, command[:4]))} … ended with {done.returncode}:\n{done.stdout[-2000:]}")
        return done.stdout

    def libraries(self, what, files):
        """The shared libraries that `files` need from this host, the loader among them."""
        found = set()
        for file in files:
            listed = subprocess.run([self.ldd, file], capture_output=True, text=True, timeout=60).stdout
            missing = re.search(r"(\S+) => not found", listed)
            if missing:
                raise Failed(f"{what}: {file} needs {missing[1]}, which is not on this host")
            found.update(re.findall(r"(/\S+) \(0x", listed))
        return found


def system(host, stage):
    """A small system: busybox, users, certificates. All libraries of the layers above go to /usr/lib."""
    for folder in ["usr/bin", "usr/lib", "etc/ssl/certs", "root", "tmp", "var/tmp", "data", "app"]:
        (stage / folder).mkdir(parents=True)
    for link, target in {"bin": "usr/bin", "sbin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib", "usr/sbin": "bin",
                         "usr/lib64": "lib"}.items():
        (stage / link).symlink_to(target)
    if "not a dynamic executable" not in host.run("busybox", "sh", "-c", f"{host.ldd} {host.busybox} 2>&1; true"):
        raise Failed(f"{host.busybox} is not static: install busybox-static")
    shutil.copy(host.busybox, stage / "usr/bin/busybox")
    known = set(host.run("busybox", host.busybox, "--list").split())
    for applet in known.intersection(APPLETS):
        (stage / "usr/bin" / applet).symlink_to("busybox")
    etc = stage / "etc"
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/tmp:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\napp:x:1000:\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    (etc / "os-release").write_text('ID=envdeck-tests\nPRETTY_NAME="envdeck test image"\n')
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, etc / "ssl/certs/ca-certificates.crt")


def tiny(_host, stage):
    (stage / "usr/bin").mkdir(parents=True)
    shutil.copy(HERE / "tiny/serve", stage / "usr/bin/serve")


def node(host, stage):
    """The node of the npm registry: the same version on every host."""
    modules = _npm(host, "node")
    program = next(modules.glob("node-linux-*/bin/node"), None)
    if not program:
        raise Failed("npm has no node for this processor")
    _add_program(host, stage, program, "node")


def debian(host, stage):
    """A minimal Debian with Python, from its packages; kept beside the layers, because it takes minutes."""
    suite, packages = DEBIAN
    kept = host.cache / f"debian-{suite}-{packages.replace(',', '-')}.tar"
    if not kept.exists():
        debootstrap = shutil.which("debootstrap")
        if not debootstrap or os.geteuid():
            raise Failed("debootstrap is missing or needs root: install debootstrap, and run this as root")
        tree = host.cache / "work/debian"
        host.run("Debian", debootstrap, "--variant=minbase", f"--include={packages}", suite, tree, patience=900)
        for folder in DOCUMENTS:
            shutil.rmtree(tree / folder, ignore_errors=True)
            (tree / folder).mkdir(parents=True)
        fresh = kept.with_suffix(".new")
        with tarfile.open(fresh, "w") as tar:
            tar.add(tree, arcname=".")
        fresh.rename(kept)
    with tarfile.open(kept) as tar:
        tar.extractall(stage, filter="fully_trusted")
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, stage / "etc/ssl/certs/ca-certificates.crt")


def node_with_npm(host, stage):
    """The node and npm of the npm registry, for a system that has the libraries they need."""
    (stage / "usr/bin").mkdir(parents=True)
    program = next(_npm(host, "node", "-sandbox").glob("node-linux-*/bin/node"), None)
    if not program:
        raise Failed("npm has no node for this processor")
    shutil.copy(program, stage / "usr/bin/node")
    shutil.copytree(_npm(host, "npm") / "npm", stage / "usr/lib/node_modules/npm", symlinks=True)
    for name in ["npm", "npx"]:
        (stage / "usr/bin" / name).symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")


def npm_server(name):
    def fill(host, stage):
        """Laid out as in the official image: `node /app/dist/index.js`."""
        modules = _npm(host, name)
        shutil.copytree(modules, stage / "app/node_modules", symlinks=True, ignore=shutil.ignore_patterns(".bin"))
        package = f"node_modules/@modelcontextprotocol/server-{name}"
        (stage / "app/dist").symlink_to(f"{package}/dist")
        (stage / "app/package.json").symlink_to(f"{package}/package.json")
    return fill


def _npm(host, name, purpose=""):
    folder = host.cache / "work" / f"npm-{name}{purpose}"
    shutil.copytree(HERE / "npm" / name, folder)
    host.run(f"npm packages of {name}", host.npm, "ci", "--prefix", folder, "--omit=dev", "--ignore-scripts",
             "--no-audit", "--no-fund", "--loglevel=error")
    return folder / "node_modules"


def python(host, stage):
    """This host's CPython, compiled: a start would pay for that otherwise."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = stage / "usr/lib" / version
    standard = pathlib.Path(os.__file__).resolve().parent
    shutil.copytree(standard, library, ignore=UNNEEDED, ignore_dangling_symlinks=True)
    _add_program(host, stage, pathlib.Path(os.path.realpath(host.python)), version, library.rglob("*.so"))
    for alias in ["python", "python3"]:
        (stage / "usr/bin" / alias).symlink_to(version)
    _compile(host, stage, "usr/lib")


def pypi_server(name, command, module):
    def fill(host, stage):
        packages = stage / "app"
        packages.mkdir(parents=True)
        host.run(f"Python packages of {name}", _pip(host), "-m", "pip", "install", "--quiet", "--no-input", "--no-deps",
                 "--no-compile", "--only-binary=:all:", "--target", packages, "-r", HERE / f"pypi/{name}.txt")
        shutil.rmtree(packages / "bin", ignore_errors=True)
        for record in packages.glob("*.dist-info/RECORD"):
            record.unlink()  # names the scripts just removed
        _add_libraries(host, stage, name, packages.rglob("*.so*"))
        _compile(host, stage, "app")
        (stage / "usr/bin").mkdir(parents=True, exist_ok=True)
        script = stage / "usr/bin" / command
        script.write_text(f"#!/usr/bin/python3\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)
    return fill


def _pip(host):
    """A Python with pip, of the same version: Debian's own has none outside of a virtual environment."""
    folder = host.cache / "work/pip"
    if not (folder / "bin/python").exists():
        raise Failed("the virtual environment for pip is missing")
    return folder / "bin/python"


def prepare_pip(host):
    host.run("pip (install python3-venv)", host.python, "-m", "venv", host.cache / "work/pip")


def _compile(host, stage, folder):
    """With hashes that nobody checks: the files carry no times, and layers made twice are the same."""
    host.run("compiling Python", host.python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
             "-s", stage, "-p", "/", stage / folder)


def _add_program(host, stage, program, name, others=()):
    (stage / "usr/bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(program, stage / "usr/bin" / name)
    _add_libraries(host, stage, name, [program, *others])


def _add_libraries(host, stage, what, files):
    own = str(stage)
    (stage / "usr/lib").mkdir(parents=True, exist_ok=True)
    for library in host.libraries(what, files):
        target = stage / "usr/lib" / os.path.basename(library)
        # Wheels bring libraries of their own, which they find by themselves.
        if not library.startswith(own) and not target.exists():
            shutil.copy(library, target)
