set -eu
greeting="hello $(cat /inputs/name)"
for _ in $(seq "$(cat /inputs/times)"); do
    echo "$greeting"
done
if [ -e /inputs/notes ]; then
    cat /inputs/notes
fi
printf '%s' "$greeting" >/outputs/greeting
