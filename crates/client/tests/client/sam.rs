//! Supervised programs: this program, as a child that fails in many ways.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use ferrosync_client::Value;
use ferrosync_client::sam::{
    Ended, How, Recovery, Supervised, SupervisedError, Supervisor, SupervisorError, Warning,
};

use nix::time::{ClockId, clock_gettime};

use crate::cmap;
use crate::daemon::{PATIENCE, options, this_program};

fn supervisor(role: &str, recovery: Recovery) -> Supervisor {
    let mut command = this_program("supervised");
    command.env(ROLE, role);
    Supervisor::new(command, recovery)
}

fn run(supervisor: Supervisor) -> (How, Option<i32>) {
    let Ended { status, how } = supervisor.run().unwrap();
    (how, status.code())
}

/// This process becomes a supervised program.
pub(crate) fn as_supervised() -> ! {
    let role = env::var(ROLE).unwrap();
    let mut program = Supervised::connect().unwrap();
    let instance = program.instance();
    let code = match role.as_str() {
        "in order" => {
            program.start().unwrap();
            assert!(matches!(program.start(), Err(SupervisedError::WrongPhase)));
            program.alive().unwrap();
            program.stop().unwrap();
            assert!(matches!(program.alive(), Err(SupervisedError::WrongPhase)));
            3
        }
        "fails" => {
            program.start().unwrap();
            5
        }
        "counts" => {
            assert_eq!(program.data(), format!("{}", instance - 1).as_bytes());
            program.store(instance.to_string().as_bytes()).unwrap();
            program.start().unwrap();
            if instance < 3 {
                std::process::exit(1);
            }
            program.stop().unwrap();
            0
        }
        "is silent" => {
            program.warn_by(Warning::Kill).unwrap();
            program.start().unwrap();
            if instance == 1 {
                thread::sleep(PATIENCE);
            }
            program.stop().unwrap();
            0
        }
        "gives up" => {
            program.start().unwrap();
            program.mark_failed().unwrap();
            thread::sleep(PATIENCE);
            1
        }
        "works" => {
            program.start().unwrap();
            if instance == 1 {
                thread::sleep(PATIENCE);
            }
            program.stop().unwrap();
            0
        }
        other => panic!("unknown role {other}"),
    };
    std::process::exit(code)
}

pub(crate) fn programs_end_in_order_or_fail() {
    let in_order = run(supervisor("in order", Recovery::Restart));
    assert_eq!(in_order, (How::InOrder, Some(3)));
    let failed = run(supervisor("fails", Recovery::Quit));
    assert_eq!(failed, (How::Failed, Some(5)));
    let counted = run(supervisor("counts", Recovery::Restart).data(b"0"));
    assert_eq!(counted, (How::InOrder, Some(0)));
    let gave_up = run(supervisor("gives up", Recovery::Restart));
    assert_eq!(gave_up, (How::Failed, None));
}

pub(crate) fn a_silent_program_is_started_again() {
    let begin = Instant::now();
    let silent = supervisor("is silent", Recovery::Restart).expect_health(Duration::from_secs(1));
    assert_eq!(run(silent), (How::InOrder, Some(0)));
    assert!(begin.elapsed() < PATIENCE, "nobody has killed it");
}

pub(crate) fn the_map_shows_programs() {
    let prefix = format!("resources.process.{}.", std::process::id());
    let keys = |map: &mut ferrosync_client::cmap::Cmap| -> Vec<String> {
        let keys = map.iterate(&prefix).unwrap();
        keys.map(|key| key.unwrap().key[prefix.len()..].to_owned())
            .collect()
    };
    let mut map = cmap::connect();
    let shown = supervisor("in order", Recovery::Restart)
        .show(&options())
        .unwrap();
    assert_eq!(keys(&mut map), ["poll_period", "recovery"]);
    assert_eq!(run(shown), (How::InOrder, Some(3)));
    assert_eq!(keys(&mut map), [""; 0]);
    let failing = supervisor("fails", Recovery::Quit)
        .show(&options())
        .unwrap();
    assert_eq!(run(failing), (How::Failed, Some(5)));
    let state = map.get(&format!("{prefix}state")).unwrap();
    assert_eq!(state, Value::str("failed"));
    // By the clock of the daemon's watchdog service, not by that on the wall.
    let heard = map.get(&format!("{prefix}last_updated")).unwrap();
    let Value::U64(heard) = heard else {
        panic!("{heard:?}");
    };
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    assert!(Duration::from_nanos(heard) <= now.unwrap(), "{heard}");
    for key in keys(&mut map) {
        map.delete(&format!("{prefix}{key}")).unwrap();
    }
}

/// The only node of a cluster that expects more votes loses its quorum.
pub(crate) fn quorum_starts_and_ends_programs() {
    let mut map = cmap::connect();
    map.set("quorum.expected_votes", &Value::U32(3)).unwrap();
    let watched = thread::spawn(|| -> Result<Ended, SupervisorError> {
        supervisor("works", Recovery::Restart)
            .show(&options())?
            .need_quorum(&options())?
            .run()
    });
    let key = format!("resources.process.{}.state", std::process::id());
    let mut wait_for = |state: &str, votes: u32| {
        let deadline = Instant::now() + PATIENCE;
        while map.get(&key).ok() != Some(Value::str(state)) {
            assert!(Instant::now() < deadline, "never {state}");
            thread::sleep(Duration::from_millis(10));
        }
        map.set("quorum.expected_votes", &Value::U32(votes))
            .unwrap();
    };
    wait_for("waiting for quorum", 1);
    wait_for("running", 3);
    wait_for("waiting for quorum", 1);
    let Ended { status, how } = watched.join().unwrap().unwrap();
    assert_eq!((how, status.code()), (How::InOrder, Some(0)));
}

const ROLE: &str = "FERROSYNC_CLIENT_TEST_ROLE";
