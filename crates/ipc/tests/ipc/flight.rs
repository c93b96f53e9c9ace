//! libqb's own tool reads what the recorder writes.

use std::process::Command;

use ferrosync_ipc::flight::{FlightRecord, FlightRecorder, save_dump};

use crate::support::skipped;

#[test]
fn qb_blackbox_reads_a_dump() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = FlightRecorder::create(dir.path()).unwrap();
    // Enough to go round the ring more than once.
    let count = 150_000;
    let filler = "100%s %d ".repeat(5);
    for line in 1..=count {
        recorder.record(&FlightRecord {
            time: (1_700_000_000, 250_000_000),
            priority: if line % 2 == 0 { 7 } else { 8 },
            tag: 3,
            function: "services::cpg::send",
            line,
            text: &format!("record {line} {filler}"),
        });
    }
    let (path, link) = (dir.path().join("fdata-now"), dir.path().join("fdata"));
    save_dump(&recorder.dump().unwrap(), &path, &link).unwrap();
    let Ok(output) = Command::new("/usr/sbin/qb-blackbox")
        .arg(&link)
        .env("TZ", "UTC")
        .output()
    else {
        return skipped("qb-blackbox reads a dump: Debian package libqb-tools is not installed");
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().filter(|line| line.contains(" record "));
    let told = lines.clone().count();
    assert!(told > 50_000, "{told} records, {text:.300}");
    let first = count - u32::try_from(told).unwrap() + 1;
    for line in first..=count {
        let priority = if line % 2 == 0 { "debug  " } else { "trace  " };
        // libqb's reader has a slip in the size that it gives for the milliseconds.
        let start = format!("{priority} Nov 14 22:13:20");
        let end = format!(
            " services::cpg::send({line}):3: record {line} {}",
            filler.trim_end()
        );
        let found = lines.next().unwrap().trim_end();
        assert!(
            found.starts_with(&start) && found.ends_with(&end),
            "{found}"
        );
    }
    // It says so when it is through.
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("qb_rb_chunk_read failed: Connection timed out"),
        "{stderr}"
    );
}
