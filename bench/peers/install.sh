#!/usr/bin/env bash
# Makes the Python environment of tokenize.ts's rivals: ~/.cache/galvani/rivals, outside any clone. A second run does nothing.
exec bash "$(dirname "$0")/../../test/python/environment.sh" "${XDG_CACHE_HOME:-$HOME/.cache}/galvani/rivals" \
  nanotoken==0.1.0 tokenizers==1.0.0rc3
