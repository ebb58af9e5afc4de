#!/bin/sh
# Runs in a container with Debian's tools: makes a wheel of the package in /build/source/$FOLDER, always at the same
# paths, with build tools that are not newer than $AS_OF. The wheel comes to /build/wheel.
set -eu
PATH=/build:$PATH
source=/build/source/${FOLDER:-}
python=/build/environment/bin/python
install() {
    # shellcheck disable=SC2086
    [ ! -s "$1" ] || uv pip install --quiet --python "$python" ${AS_OF:+--exclude-newer "$AS_OF"} \
        --constraints /build/constraints.txt --requirements "$1"
}
cd "$source"
# Old packages import pkg_resources while they are built, which setuptools 82 no longer brings.
if grep -qs pkg_resources setup.py; then echo "setuptools<82"; fi > /build/constraints.txt
[ -e pyproject.toml ] || [ -e setup.py ] || { echo "error: it is no Python package: it has no pyproject.toml"; exit 1; }
uv venv --quiet --python /usr/bin/python3 /build/environment
# What the package says that it is built with (PEP 518), and what its build backend asks for besides (PEP 517).
cat > /build/ask.py <<'PYTHON'
import importlib, pathlib, sys, tomllib

project = pathlib.Path("pyproject.toml")
stated = tomllib.loads(project.read_text()).get("build-system") if project.exists() else None
system = stated or {"requires": ["setuptools", "wheel"]}
if sys.argv[1] == "tools":
    print(*system.get("requires", ()), sep="\n")
else:
    sys.path[:0] = system.get("backend-path", [""])
    module, _, attributes = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
    out, sys.stdout, sys.argv = sys.stdout, sys.stderr, sys.argv[:1]
    backend = importlib.import_module(module)
    for name in filter(None, attributes.split(".")):
        backend = getattr(backend, name)
    print(*getattr(backend, "get_requires_for_build_wheel", lambda _: ())(None), sep="\n", file=out)
PYTHON
"$python" /build/ask.py tools > /build/tools.txt
install /build/tools.txt
"$python" /build/ask.py more > /build/more.txt
install /build/more.txt
PATH=/build/environment/bin:$PATH exec uv build --quiet --wheel --no-build-isolation --python "$python" \
    --out-dir /build/wheel "$source"
