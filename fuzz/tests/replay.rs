//! Every input that was ever kept, once more, on a stable compiler; and the lists that have to agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferrosync_fuzz::{TARGETS, Target, seeds};

/// Files of a folder of this package, by name, in order.
fn names(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .map(|entry| {
            let name = entry.expect("an entry of the folder").file_name();
            name.into_string().expect("names of files are ASCII")
        })
        .collect()
}

/// Hands every file of a corpus to its target; says which one failed.
fn replay(target: Target) -> usize {
    let corpus = format!("corpus/{}", target.name);
    let names = names(&corpus);
    for name in &names {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(&corpus)
            .join(name);
        let input = fs::read(&path).expect("a file of the corpus");
        let outcome = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(outcome.is_ok(), "failed on {}", path.display());
    }
    names.len()
}

#[test]
fn every_corpus_is_handled() {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let count = replay(*target);
            println!("{}: {count} inputs", target.name);
            assert!(count >= CORPUS_MIN, "{}: {count} inputs only", target.name);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
}

#[test]
fn every_seed_is_handled() {
    let seeds = seeds::all().unwrap();
    for target in TARGETS {
        let of_target: Vec<_> = seeds.iter().filter(|s| s.target == target.name).collect();
        assert!(!of_target.is_empty(), "{} has no seeds", target.name);
        for seed in of_target {
            let outcome = std::panic::catch_unwind(|| (target.run)(&seed.bytes));
            assert!(outcome.is_ok(), "{} failed on {}", target.name, seed.name);
        }
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let listed: BTreeSet<String> = TARGETS.iter().map(|t| t.name.to_owned()).collect();
    assert_eq!(listed.len(), TARGETS.len());
    assert_eq!(names("corpus"), listed);
    let programs = listed.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names("fuzz_targets"), programs);
}

/// A corpus smaller than this was lost, not minimised.
const CORPUS_MIN: usize = 8;
/// Corpora replayed at the same time.
const WORKERS: usize = 4;
