#!/usr/bin/env bash
# Makes the Python environment of tokenize.ts's rivals: ~/.cache/galvani/rivals, outside any clone. A second run does nothing.
set -euo pipefail
home="${XDG_CACHE_HOME:-$HOME/.cache}/galvani/rivals"
stamp="$home/installed"
packages="nanotoken==0.1.0 tokenizers==1.0.0rc3"
if [ "$(cat "$stamp" 2>/dev/null)" = "$packages" ]; then
  echo "$home is ready."
  exit 0
fi
[ -x "$home/bin/python" ] || python3 -m venv "$home"
# shellcheck disable=SC2086
"$home/bin/pip" install --quiet --disable-pip-version-check $packages
echo "$packages" > "$stamp"
echo "$home is ready."
