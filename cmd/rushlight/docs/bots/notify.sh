#!/bin/sh
# notify.sh WHO TEXT... sends a message; without TEXT, what comes on standard
# input. RUSHLIGHT_URL is the daemon's address, RUSHLIGHT_TOKEN a token with the
# scope send. Neither the token nor the text shows in the list of processes.
set -eu
: "${RUSHLIGHT_URL:?}" "${RUSHLIGHT_TOKEN:?}"
who=${1:?say to whom}
shift
if [ $# -gt 0 ]; then text=$*; else text=$(cat); fi

# json writes a string as JSON.
json() {
	printf '%s' "$1" | tr -d '\000-\010\013-\037' | sed 's/\\/\\\\/g; s/"/\\"/g; s/	/\\t/g' |
		awk 'BEGIN { printf "\"" } NR > 1 { printf "\\n" } { printf "%s", $0 } END { printf "\"" }'
}

# The same key each time curl tries again: the message is sent once.
answer=$(
	printf '{"jsonrpc":"2.0","id":1,"method":"send","params":{"recipient":%s,"message":%s,"idempotencyKey":"%s"}}' \
		"$(json "$who")" "$(json "$text")" "$(date +%s)-$$" |
		curl -sS --fail-with-body --retry 3 --retry-connrefused -H 'Content-Type: application/json' -H @/dev/fd/3 \
			--data-binary @- "$RUSHLIGHT_URL/api/v1/rpc" 3<<HEADER
Authorization: Bearer $RUSHLIGHT_TOKEN
HEADER
)
case $answer in
*'"error":{"code"'*) echo "not sent: $answer" >&2; exit 1 ;;
esac
