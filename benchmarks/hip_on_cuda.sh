#!/usr/bin/env bash
# Run the hip device on an NVIDIA GPU through tests/hip_on_cuda: install, build the rig, run pytest.
#
#   benchmarks/hip_on_cuda.sh [WHEELS] [-- PYTEST ARGUMENTS]
#
# WHEELS    a folder of wheels to install, offline, before anything else; without it the packages must be there
# arguments for pytest, or a script (.py) with its own; default: tests/devices/test_hip.py -v -rs
#
# PYTHON    the interpreter (python3)
# CUDA_HOME a CUDA toolkit (nvcc's, or /usr/local/cuda); NVRTC_LIBRARY a libnvrtc, where the toolkit has none
# WORK      a folder for what is installed and built (a new temporary one, removed at the end)
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
wheels=
if [[ $# -gt 0 && $1 != -- ]]; then
  wheels=$(cd "$1" && pwd)
  shift
fi
[[ ${1:-} == -- ]] && shift
[[ $# -gt 0 ]] || set -- tests/devices/test_hip.py -v -rs

if [[ -z ${WORK:-} ]]; then
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
fi
site=$WORK/site
rig=$WORK/rocm # laid out as ROCm: hip-python 10 looks in $ROCM_PATH/lib, 6.4 and 7 in LD_LIBRARY_PATH
mkdir -p "$site" "$rig/lib" "$WORK/source"

offline=(-q --no-index --no-deps --no-compile --no-cache-dir --disable-pip-version-check --upgrade --target "$site")
export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
if [[ -n $wheels ]]; then
  "$python" -m pip install "${offline[@]}" "$wheels"/*.whl
fi
# pytest finds the plugin by its entry point: it must be installed. From a copy, for building leaves files behind.
cp -r "$root"/{pyproject.toml,pytest_greta} "$WORK/source/"
cp "$root"/README.md "$root"/LICENSE* "$WORK/source/" 2>/dev/null || touch "$WORK/source/README.md"
"$python" -m pip install "${offline[@]}" --no-build-isolation "$WORK/source"

"$python" "$root/tests/hip_on_cuda/build.py" "$rig/lib"
export ROCM_PATH=$rig
export LD_LIBRARY_PATH=$rig/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export GRETA_TEST_REQUIRE=hip
if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,temperature.gpu --format=csv
fi
cd "$root"
"$python" -c 'import importlib.metadata as m; print("hip-python", m.version("hip-python"))'
if [[ $1 == *.py && -z ${1##benchmarks/*} ]]; then
  "$python" "$@"
  exit
fi
# Only these plugins: whatever else is installed on the machine has no part in it.
PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 "$python" -m pytest -p benchmark -p greta "$@"
