#!/usr/bin/env bash
# Unpacks Slurm and munge, packages of Debian or Ubuntu, into ~/.cache/galvani/slurm, outside any clone: nothing is installed
# on the system, no service is made or started, and no root is needed. A second run does nothing. 4 MB to download.
set -euo pipefail
home="${XDG_CACHE_HOME:-$HOME/.cache}/galvani/slurm"
wanted=(munge libmunge2 slurm-client slurm-wlm-basic-plugins slurmctld slurmd)
if [ ! -e "$home/usr/sbin/slurmctld-wlm" ]; then
  # A fresh system knows no packages; only root may ask for their list.
  apt-cache show "${wanted[@]}" > /dev/null 2>&1 || apt-get update -qq
  # And what they need that the system lacks.
  missing=$(apt-get install --simulate --no-install-recommends "${wanted[@]}" | awk '$1 == "Inst" { print $2 }')
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  chmod 755 "$folder" # apt-get downloads as a user of its own
  mapfile -t packages < <(printf '%s\n' "${wanted[@]}" $missing | sort -u)
  (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root "${packages[@]}")
  for package in "$folder"/*.deb; do dpkg-deb --extract "$package" "$folder/root"; done
  mkdir -p "$(dirname "$home")"
  rm -rf "$home"
  mv "$folder/root" "$home"
fi
echo "$home is ready."
