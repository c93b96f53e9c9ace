#!/bin/sh
# Fuzzes every target for SECONDS, one after the other, one process each, and prints a row of docs/fuzzing.md for each.
# Usage: fuzz/run-all.sh SECONDS [TARGET..]; needs a nightly toolchain and `cargo install cargo-fuzz`.
set -eu
seconds=${1:?usage: $0 SECONDS [TARGET..]}
shift
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(for file in fuzz_targets/*.rs; do basename "$file" .rs; done)
mkdir -p artifacts
failed=0
echo "| target | executions | seconds | findings |"
echo "|---|---|---|---|"
for target; do
    dictionary=
    [ ! -e "dict/$target.dict" ] || dictionary="-dict=dict/$target.dict"
    log="artifacts/$target.log"
    findings=none
    # No code under test is unsafe, so no sanitizer is needed; debug assertions and overflow checks stay on.
    if ! cargo +nightly fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -max_len=4096 \
        -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 $dictionary >"$log" 2>&1; then
        findings="see fuzz/$log"
        failed=1
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "| \`$target\` | ${executions:--} | $seconds | $findings |"
done
exit $failed
