#!/bin/sh
set -eu
. "$(dirname "$0")/functions"

first=1
while IFS="$(printf '\t')" read -r name port target rest; do
	case "$name" in
		''|\#*) continue ;;
	esac
	if [ "$first" = 1 ]; then first=0; else echo "---"; fi
	render_service "$name" "$port" "$target"
done
