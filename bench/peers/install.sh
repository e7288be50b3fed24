#!/usr/bin/env bash
# Makes the Python environments of the rivals in ~/.cache/galvani, outside any clone: `rivals` for tokenize.ts, and
# `rivals-datasets` for prepare.ts, since transformers and the newest tokenizers do not go together. A second run does nothing.
set -euo pipefail
cache="${XDG_CACHE_HOME:-$HOME/.cache}/galvani"
make="$(dirname "$0")/../../test/python/environment.sh"
bash "$make" "$cache/rivals" nanotoken==0.1.0 tokenizers==1.0.0rc3
bash "$make" "$cache/rivals-datasets" datasets==5.2.0 transformers==5.24.0 nanotoken==0.1.0
