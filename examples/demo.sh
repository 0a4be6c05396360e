#!/bin/sh
# Flowmetal's main job on real input, from a first run to a run that is killed midway and finished: `./dev demo`.
#
# Needs `flowmetal` on PATH. Writes to a temporary directory only, and removes it. Whatever is not as it should be ends
# the script with exit code 1 and says what.
set -eu
cd "$(dirname "$0")"

work=$(cd "$(mktemp -d "${TMPDIR:-/tmp}/flowmetal-demo.XXXXXX")" && pwd -P)
engine=
clean_up() {
    [ -z "$engine" ] || kill -9 "$engine" 2>/dev/null || :
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

FLOWMETAL_HOME=$work/home
export FLOWMETAL_HOME
out=$work/out

step() { printf '\n== %s\n' "$*"; }
shown() { printf '$ %s\n' "$*" | sed "s|$work|\$WORK|g"; }
say() { printf '   %s\n' "$*"; }
fail() {
    printf 'demo: FAILED: %s\n' "$*" >&2
    exit 1
}

# The log of a run for a page: long lines without their middle; of many lines only the first and the last.
show_log() {
    flowmetal log "$1" | sed "s|$work|\$WORK|g" >"$work/log.txt"
    [ -s "$work/log.txt" ] || fail "flowmetal log $1 printed nothing"
    sed '/.\{117\}/s/(\(.\{0,24\}\).*) → \(.\{0,34\}\).*  \([0-9.]*s  \[[^]]*\]\)$/(\1…) → \2…  \3/' "$work/log.txt" |
        awk -v lines="$(wc -l <"$work/log.txt")" '
            lines <= 16 || NR <= 6 || NR > lines - 4 { print }
            lines > 16 && NR == 7 { printf "   … %d more lines\n", lines - 10 }
        '
}

# How many events of a run match a pattern; 0 while there is no such run.
count_events() {
    { flowmetal log "$1" --json 2>/dev/null || :; } | grep -c -e "$2" || :
}

expect() {
    [ "$2" = "$3" ] || fail "$1: expected $3, got $2"
}

# -- the introduction: a flow that fails by design ----------------------------------------------------------

step "1. A first flow. Its check fails three times, so it cleans up and ends in an error: exit code 1, as it should"
shown "flowmetal run intro.flow"
code=0
flowmetal run intro.flow || code=$?
expect "the exit code of intro.flow" "$code" 1
shown "flowmetal run intro.flow:intro --wanted 3"
flowmetal run intro.flow:intro --wanted 3 || fail "intro.flow:intro --wanted 3 ended in an error"

# -- the main job -------------------------------------------------------------------------------------------

cd etl
mkdir "$out"

step "2. The main job: four years of weather are read, checked, summed up by 48 parallel children, and written"
shown "flowmetal run etl.flow:etl --output $out --id undisturbed --allow read=data --allow write=$out"
flowmetal run etl.flow:etl --output "$out" --id undisturbed --allow read=data --allow write="$out" \
    >"$work/undisturbed.json" || fail "the run ended in an error"
sed "s|$work|\$WORK|g" "$work/undisturbed.json"
mv "$out" "$work/undisturbed"

step "3. The report"
shown "head -4 $out/monthly.csv"
head -n 4 "$work/undisturbed/monthly.csv"

step "4. What it did: every action with its time, its result and its line in the file"
shown "flowmetal log undisturbed"
show_log undisturbed

# -- killed and finished ------------------------------------------------------------------------------------

step "5. The same again, but the months begin 100 ms after one another, and the process is killed midway (kill -9)"
mkdir "$out"
shown "flowmetal run etl.flow:etl --output $out --pause 100ms --id killed --allow … &"
flowmetal run etl.flow:etl --output "$out" --pause 100ms --id killed --allow read=data --allow write="$out" \
    >/dev/null 2>"$work/killed.txt" &
engine=$!

# A month has ended when the action that started it has a result; so has the reading of the file.
month_result='"run": "killed", .*"kind": "result"'
results=0
while [ "$results" -lt 11 ]; do
    kill -0 "$engine" 2>/dev/null || {
        cat "$work/killed.txt" >&2
        fail "the run ended before it could be killed"
    }
    results=$(count_events killed "$month_result")
done
kill -9 "$engine"
wait "$engine" 2>/dev/null || :
engine=
flowmetal log killed --json >"$work/before.jsonl"
done_before=$(($(grep -c -e "$month_result" "$work/before.jsonl") - 1))
say "killed; $done_before of 48 months were done, and nothing was written"
[ "$done_before" -ge 1 ] && [ "$done_before" -lt 48 ] || fail "that is not midway"
[ -z "$(ls "$out")" ] || fail "the killed run had written already"

shown "flowmetal ps"
flowmetal ps

step "6. It is finished from its journal: what was done is not done again, the rest goes on"
shown "flowmetal resume killed"
flowmetal resume killed >"$work/killed.json" || fail "the resumed run ended in an error"
sed "s|$work|\$WORK|g" "$work/killed.json"

step "7. Proof"
cmp "$work/undisturbed.json" "$work/killed.json" || fail "the results differ"
cmp "$work/undisturbed/monthly.csv" "$out/monthly.csv" || fail "monthly.csv differs"
cmp "$work/undisturbed/report.json" "$out/report.json" || fail "report.json differs"
say "result, monthly.csv and report.json are the same, byte for byte"

flowmetal log killed --json >"$work/after.jsonl"
head -n "$(wc -l <"$work/before.jsonl")" "$work/after.jsonl" | cmp - "$work/before.jsonl" ||
    fail "the history from before the kill was changed"
say "the $(wc -l <"$work/before.jsonl" | tr -d ' ') events from before the kill are still the first of its history"

expect "how often the file was read" "$(grep -c -e '"kind": "action".*"callee": "read"' "$work/after.jsonl")" 1
expect "how many months were started" "$(grep -c -e '"kind": "action".*"callee": "etl.flow:month_summary"' "$work/after.jsonl")" 48
expect "how many files were written" "$(grep -c -e '"kind": "action".*"callee": "write"' "$work/after.jsonl")" 2
expect "how many actions have a result" "$(grep -c -e "$month_result" "$work/after.jsonl")" 51
expect "how often an effect was repeated" "$(grep -c -e '"kind": "attempt"' "$work/after.jsonl" || :)" 0
say "one read, 48 months and two writes are recorded, each once; $done_before months were not summed up again"

printf '\ndemo: ok: a run killed with kill -9 was finished by `flowmetal resume`, with the same result and the same files\n'
