#!/bin/sh
# Names every system tool that is missing, all at once, with the Debian package that brings it.
#
# Usage: sim/tools_check.sh [PYTHON]. WAVES=1 in the environment asks for what waveforms need as well. Exit status 1 if
# something is missing. It needs only a POSIX shell, so that it can miss everything else.

python=${1:-python3}
missing=""

need() { # what, Debian package, what it is for
    missing="$missing
  $1: $3 (package $2)"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

if ! has "$python"; then
    need "$python" python3 "Python 3.11 or later"
elif ! "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    version=$("$python" -I -c 'import platform; print(platform.python_version())' 2>/dev/null)
    need "Python 3.11 or later" "python3 of Debian 12, Ubuntu 24.04 or later" \
        "$python is ${version:-not working}; PYTHON=... names another"
else
    release=$("$python" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -I -c 'import ensurepip, venv' 2>/dev/null ||
        need "ensurepip" "python$release-venv" "creates the virtual environment"
    # The simulator embeds Python. These are the names and places where cocotb looks for its shared library.
    "$python" -I - 2>/dev/null <<'END' || need "libpython$release.so" "libpython$release" "the simulator embeds Python"
import ctypes, os, sys, sysconfig

installed = sysconfig.get_config_var("INSTSONAME") or ""
names = ([installed] if ".so" in installed else []) + ["libpython%d.%d.so" % sys.version_info[:2]]
places = [sysconfig.get_config_var(key) or "" for key in ("LIBPL", "LIBDIR")] + [os.path.join(sys.exec_prefix, "lib")]
for name in names:
    if any(os.path.isfile(os.path.join(place, name)) for place in places):
        sys.exit(0)
    try:
        ctypes.CDLL(name)
        sys.exit(0)
    except OSError:
        pass
sys.exit(1)
END
fi

# Verilator's makefiles call the compiler c++; its coroutines need GCC 10.
if ! has c++; then
    need "c++" g++ "compiles the simulator"
elif ! c++ -std=c++20 -fsyntax-only -x c++ /dev/null 2>/dev/null; then
    need "a C++20 compiler" "g++ 10 or later" "compiles the simulator"
elif [ "${WAVES:-}" = 1 ]; then
    echo '#include <zlib.h>' | c++ -E -x c++ - >/dev/null 2>&1 ||
        need "zlib.h" zlib1g-dev "compresses waveforms (WAVES=1)"
    echo '#include <lz4.h>' | c++ -E -x c++ - >/dev/null 2>&1 ||
        need "lz4.h" liblz4-dev "compresses waveforms (WAVES=1)"
fi
has make || need "make" make "builds the simulator"
# Debian's perl-base lacks modules that the verilator script uses.
{ has perl && perl -MPod::Usage -MFindBin -MGetopt::Long -e 1 2>/dev/null; } ||
    need "perl" perl "runs the verilator script"

if [ -n "$missing" ]; then
    echo "niclab needs from the system what is missing here:$missing" >&2
    exit 1
fi
