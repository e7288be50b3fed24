#!/usr/bin/env bash
# environment.sh FOLDER PACKAGE…: makes a Python environment with these packages. A second run does nothing.
set -euo pipefail
home="$1"
shift
stamp="$home/installed"
if [ "$(cat "$stamp" 2>/dev/null)" != "$*" ]; then
  [ -x "$home/bin/python" ] || python3 -m venv "$home"
  "$home/bin/pip" install --quiet --disable-pip-version-check "$@"
  echo "$*" > "$stamp"
fi
echo "$home is ready."
