#!/usr/bin/env bash
# The parser of Prometheus' text format refuses a whole file for a type of OpenMetrics.
#
# prometheus 2.42.0 (Debian's package, for promtool). A line `# TYPE run info` is right in OpenMetrics, which servers
# ask for by name. The parser behind promtool, textfile collectors and the push gateway reads the
# older format; one would guess that it takes an unknown type as untyped. It refuses every line of the file.
# Needs Debian or Ubuntu with its package lists.
# Output seen: unknown metric type "info"; accepted as a gauge.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q prometheus > apt.log 2>&1 || { cat apt.log; exit 1; }
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
refused=0
for type in info gauge; do
  printf '# HELP run_info The run.\n# TYPE run_info %s\nrun_info{id="a"} 1\n' "$type" > metrics
  if usr/bin/promtool check metrics < metrics > said 2>&1; then
    echo "$type: accepted"
  else
    echo "$type: $(cat said)"
    if [ "$type" = info ] && grep -q 'unknown metric type' said; then refused=1; fi
    if [ "$type" = gauge ]; then exit 1; fi
  fi
done
[ "$refused" = 1 ] || { echo "the behaviour has changed"; exit 1; }
