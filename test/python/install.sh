#!/usr/bin/env bash
# Makes the Python environment that some tests ask for a second opinion: ~/.cache/galvani/python, outside any clone, so
# that one is enough for all. A second run does nothing. Downloads about 3.5 GB, since torch on PyPI brings CUDA.
exec bash "$(dirname "$0")/environment.sh" "$HOME/.cache/galvani/python" torch transformers safetensors pyarrow polars numpy \
  mmh3==5.3.1 pyspark==4.1.4 kubernetes-validate==1.37.0
