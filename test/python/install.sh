#!/usr/bin/env bash
# Makes the Python environment that some tests ask for a second opinion: ~/.cache/galvani/python, outside any clone, so
# that one is enough for all. A second run does nothing. Downloads about 3 GB, since torch on PyPI brings CUDA.
set -euo pipefail
home="$HOME/.cache/galvani/python"
stamp="$home/installed"
packages="torch transformers safetensors pyarrow polars numpy"
if [ "$(cat "$stamp" 2>/dev/null)" = "$packages" ]; then
  echo "$home is ready."
  exit 0
fi
[ -x "$home/bin/python" ] || python3 -m venv "$home"
# shellcheck disable=SC2086
"$home/bin/pip" install --quiet --disable-pip-version-check $packages
echo "$packages" > "$stamp"
echo "$home is ready."
