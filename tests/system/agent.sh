#!/bin/sh
# A router's agent in a page of shell: it asks, compares and reports as openwisp-config does, with curl and md5sum.
#
#   agent.sh FOLDER URL SECRET NAME MAC
#
# It registers when FOLDER holds no identity yet, then runs one cycle. What it decides goes to standard output.
set -u
folder=$1 url=$2/controller secret=$3 name=$4 mac=$5
fetch="curl -s --connect-timeout 15 --max-time 30"
tab=$(printf '\r')

# The agent reads whole raw answers, headers included, by line.
field() { tr -d "$tab" <"$folder/answer" | sed -n "s/^$1: //p" | head -n 1; }
is_controller() { grep -qi '^X-Openwisp-Controller: true' "$folder/answer"; }
status_is() { head -n 1 "$folder/answer" | grep -q " $1 "; }

if [ ! -s "$folder/uuid" ]; then
    key=$(printf '%s+%s' "$mac" "$secret" | md5sum | cut -d ' ' -f 1)
    $fetch -i "$url/register/" \
        --data-urlencode "backend=netjsonconfig.OpenWrt" --data-urlencode "key=$key" --data-urlencode "secret=$secret" \
        --data-urlencode "name=$name" --data-urlencode "hardware_id=" --data-urlencode "mac_address=$mac" \
        --data-urlencode "tags=" --data-urlencode "model=Test Router" --data-urlencode "os=OpenWrt 23.05.3" \
        --data-urlencode "system=test" >"$folder/answer" || exit 1
    is_controller || exit 4
    status_is 403 && exit 5
    status_is 201 || exit 6
    field uuid >"$folder/uuid"
    field key >"$folder/key"
    echo "registered $(field hostname) new=$(field is-new)"
fi
uuid=$(cat "$folder/uuid") key=$(cat "$folder/key")

$fetch -i "$url/checksum/$uuid/?key=$key" >"$folder/answer" || exit 1
status_is 404 && exit 44
status_is 200 && is_controller || exit 4
new=$(tail -n 1 "$folder/answer")
if [ "$new" = "$(cat "$folder/checksum" 2>/dev/null)" ]; then
    echo unchanged
    exit 0
fi

$fetch --fail "$url/download-config/$uuid/?key=$key" -o "$folder/configuration.tar.gz" || exit 1
if [ "$(md5sum "$folder/configuration.tar.gz" | cut -d ' ' -f 1)" != "$new" ]; then
    echo "checksum mismatch"
    exit 7
fi
rm -rf "$folder/root" && mkdir -p "$folder/root"
report=applied
tar xzf "$folder/configuration.tar.gz" -C "$folder/root" 2>"$folder/errors" || report=error

# After a reload the agent tests whether it still reaches the controller.
$fetch -o /dev/null "$url/checksum/$uuid/?key=$key" || report=error
$fetch -i "$url/report-status/$uuid/" -d "key=$key" -d "status=$report" \
    --data-urlencode "error_reason=$(cat "$folder/errors" 2>/dev/null)" >"$folder/answer" || exit 1
status_is 200 && is_controller || exit 4
echo "$new" >"$folder/checksum"
echo "$report $(field current-status)"
