#!/bin/sh
# Keeps of every corpus what is needed for the same coverage, and all inputs that once failed (regression-*).
# Usage: fuzz/minimise.sh [TARGET..]
set -eu
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(for file in fuzz_targets/*.rs; do basename "$file" .rs; done)
for target; do
    kept=$(mktemp -d)
    find "corpus/$target" -name 'regression-*' -exec mv {} "$kept" \;
    # How often an edge is taken matters where there are few; else it would keep thousands of inputs.
    case $target in
        ipc_ring | wire_pg) counters=1 ;;
        *) counters=0 ;;
    esac
    merged=$(mktemp -d)
    cargo +nightly fuzz run --sanitizer none "$target" "$merged" "corpus/$target" -- \
        -set_cover_merge=1 -use_counters="$counters" -max_len=4096
    rm -r "corpus/$target"
    mkdir "corpus/$target"
    find "$merged" -type f -exec mv {} "corpus/$target" \;
    rmdir "$merged"
    find "$kept" -type f -exec mv {} "corpus/$target" \;
    rmdir "$kept"
    echo "$target: $(find "corpus/$target" -type f | wc -l) inputs"
done
