#!/bin/sh
# The core's own tests under ASan + UBSan, on every instruction set, and under TSan with two
# threads; then the Python tests of the core and the runtime on a core with ASan + UBSan.
#     sanitize.sh [address] [thread] [python]
set -eu
cd "$(dirname "$0")/../.."
command -v cmake >/dev/null || { echo "[sanitize] cmake must be installed, found none; install it"; exit 2; }
# The tests ask for more memory than there is, and want to see it refused. 8 GiB are refused too:
# the fuzz asks for them often, and to mark them takes ASan as long as a thousand other calls.
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=4096
export TSAN_OPTIONS=allocator_may_return_null=1:die_after_fork=0

# Where there is no AMX its code runs on tiles in software.
grep -qw amx_tile /proc/cpuinfo 2>/dev/null && emulate=OFF || emulate=ON

build() {
    cmake -S . -B "build/$1" -DELMAN_TESTS=ON -DELMAN_DEV=ON -DELMAN_SANITIZE="$1" \
        -DELMAN_EMULATE_TILES=$emulate >/dev/null
    cmake --build "build/$1" --parallel 2
}

address() {
    build address
    for isa in $(build/address/core_tests --isas); do
        ELMAN_ISA=$isa build/address/core_tests
    done
}

thread() {
    build thread
    build/thread/core_tests memory teams layers shared 2
}

# An environment of its own, since the installed core must stay as it is.
python() {
    there=build/sanitized
    rm -rf $there
    command python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $there . \
        --config-settings=cmake.define.ELMAN_SANITIZE=address --config-settings=build-dir=$there/build
    command python -m venv --without-pip $there/venv
    site=$(echo $there/venv/lib/python3*/site-packages)
    command python -m zipfile -e $there/elman-*.whl "$site"
    command python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/rest.pth"
    cxx=${CXX:-c++}
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 \
        LD_PRELOAD="$($cxx -print-file-name=libasan.so) $($cxx -print-file-name=libstdc++.so)" \
        $there/venv/bin/python -m pytest -q -n auto -p no:cacheprovider \
        tests/runtime tests/core/test_activations.py tests/hostile/test_hostile_core.py
}

for part in ${*:-address thread python}; do $part; done
