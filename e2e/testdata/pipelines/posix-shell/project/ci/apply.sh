#!/bin/sh -e
. ci/functions

file=${1?"which file?"}
count=`grep -c '^kind:' "$file"`
if ! is_number "$count" || [ "$count" -eq 0 ]; then
	echo "nothing in $file" 1>&2
	exit 2
fi
echo "applying $count objects as `basename "$0"`"
kubectl apply -n "$KUBE_NAMESPACE" -f "$file" 2>&1 | while read -r line; do
	echo "  $line"
done

i=0
while [ $i -lt 3 ]; do
	i=`expr $i + 1`
	[ -n "`kubectl -n "$KUBE_NAMESPACE" get svc mail -o name --ignore-not-found`" ] && break
	sleep 1
done
echo "found after $i"

set -- `kubectl -n "$KUBE_NAMESPACE" get svc -o jsonpath='{.items[*].metadata.name}'`
echo "$# services, first is $1"
(
	cd /
	pwd
)
unset file
echo "${file-unset}" "${file:-empty}" "${count:+set}"
