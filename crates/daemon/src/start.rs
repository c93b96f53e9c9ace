//! From the command line to the running loop, and to the exit status.

use std::io::Write;
use std::path::{Path, PathBuf};

use ferrosync_executive::config::{self, Config, Fixed, IpcType, SourceFile};
use ferrosync_executive::log::{Priority, Record, Subsystem};
use ferrosync_executive::output::ExitReason;
use ferrosync_executive::transport::Secrets;
use ferrosync_executive::{Boot, Node};
use ferrosync_ipc::{Kind, Options, Server};

use crate::args::Args;
use crate::clock::Clock;
use crate::environment::Machine;
use crate::event_loop::{Broken, EventLoop};
use crate::exit::Exit;
use crate::host::OsHost;
use crate::logging::Log;
use crate::net::Sockets;
use crate::persist::{PidFile, PidFileError, State};
use crate::{crash, realtime, secrets, signals, version};

pub(crate) fn start(args: &Args) -> Exit {
    if args.version {
        return say_version();
    }
    let config = match read_config(&args.config, &Fixed::NONE) {
        Ok(config) => config,
        Err(text) => {
            complain(&text);
            return Exit::Config;
        }
    };
    if args.test {
        for warning in &config.warnings {
            complain(&format!("warning: {warning}"));
        }
        return Exit::Ok;
    }
    let mut log = Log::open(config.logging.clone());
    let say = |log: &mut Log, priority, text: String| log.write(&main_line(priority, text));
    say(
        &mut log,
        Priority::Notice,
        format!("Corosync Cluster Engine {} starting up", version::CLAIMED),
    );
    say(
        &mut log,
        Priority::Info,
        format!(
            "Corosync built-in features: {}",
            version::FEATURES.join(" ")
        ),
    );
    for warning in &config.warnings {
        say(&mut log, Priority::Warning, warning.to_string());
    }
    match Daemon::prepare(args, config, &mut log) {
        Ok(daemon) => daemon.run(log),
        Err((exit, text)) => {
            say(&mut log, Priority::Error, text);
            exit
        }
    }
}

/// Everything that is opened before the loop starts.
struct Daemon {
    config: Config,
    secrets: Secrets,
    config_path: PathBuf,
    sockets: Sockets,
    ipc: Server,
    state: State,
    signals: nix::sys::signalfd::SignalFd,
    _pid_file: PidFile,
}

type Failed = (Exit, String);

impl Daemon {
    fn prepare(args: &Args, config: Config, log: &mut Log) -> Result<Self, Failed> {
        // Before the working directory becomes another one.
        let config_path = std::path::absolute(&args.config).map_err(|e| {
            (
                Exit::Config,
                format!("Cannot find {}: {e}", args.config.display()),
            )
        })?;
        let state_dir = PathBuf::from(&config.system.state_dir);
        std::env::set_current_dir(&state_dir).map_err(|e| {
            let text = format!(
                "Cannot chdir to state directory {}. {e}",
                state_dir.display()
            );
            (Exit::StateDir, text)
        })?;
        if !args.foreground {
            nix::unistd::daemon(true, false)
                .map_err(|e| (Exit::Fork, format!("Cannot go into the background: {e}")))?;
        }
        for record in realtime::apply(&config.system) {
            log.write(&record);
        }
        let pid_file = PidFile::create(&args.pid_file).map_err(lock_failed)?;
        // Not before: a recording that is left is of a daemon that is gone, and this process is the one that stays.
        log.start_recorder(&state_dir);
        let signals =
            signals::open().map_err(|e| (Exit::Fatal, format!("Cannot watch signals: {e}")))?;
        log.start_writer();
        let secrets = secrets::gather(&config).map_err(|text| (Exit::Config, text))?;
        let sockets = Sockets::open(&config).map_err(|text| (Exit::Fatal, text))?;
        let mut options = Options::of_this_machine();
        options.kind = match config.system.ipc {
            IpcType::SharedMemory => Kind::Shm,
            IpcType::Socket => Kind::Socket,
        };
        let ipc = Server::new(options)
            .map_err(|e| (Exit::Services, format!("Cannot serve clients: {e}")))?;
        Ok(Self {
            state: State::new(&state_dir, config.me),
            config,
            secrets,
            config_path,
            sockets,
            ipc,
            signals,
            _pid_file: pid_file,
        })
    }

    fn run(self, log: Log) -> Exit {
        let Self {
            config,
            secrets,
            config_path,
            sockets,
            ipc,
            state,
            signals,
            _pid_file,
        } = self;
        let clock = Clock::new();
        let stored = match state.ring_id.load() {
            Ok(stored) => stored,
            Err(e) => return last_words(log, Exit::RingId, &format!("Couldn't read ring id: {e}")),
        };
        let kept = match state.kept(&config.quorum) {
            Ok(kept) => kept,
            Err(text) => return last_words(log, Exit::Services, &text),
        };
        let seed = u64::from(config.me.0) << 32 ^ u64::from(std::process::id());
        let boot = Boot {
            config,
            stored,
            kept,
            seed,
            secrets,
        };
        let node = Node::boot(boot, clock.now());
        let mut host = OsHost::new(sockets, ipc, log, state, config_path);
        for (service, name) in node.listening() {
            if let Err(e) = host.ipc.listen(service, name) {
                host.say(Priority::Error, format!("Can't listen on {name}: {e}"));
                return Exit::Services;
            }
        }
        match EventLoop::new(node, host, clock, signals) {
            Ok(mut event_loop) => turn(&mut event_loop),
            Err(_) => Exit::Fatal,
        }
    }
}

fn turn(event_loop: &mut EventLoop) -> Exit {
    let result = crash::catch(|| event_loop.run());
    let host = event_loop.host_mut();
    let result = result.unwrap_or_else(|text| crash::end(host, &text));
    match result {
        Ok(ExitReason::Shutdown) => {
            host.say(Priority::Notice, "Corosync Cluster Engine exiting normally");
            Exit::Ok
        }
        Ok(ExitReason::Killed) => {
            // Who and why, the service said.
            let text = "Corosync Cluster Engine exiting with status -1";
            host.say(Priority::Error, text);
            Exit::Killed
        }
        Ok(ExitReason::LoadDone) => Exit::Load,
        Ok(ExitReason::ConfigVersion) => {
            host.say(Priority::Notice, "Corosync Cluster Engine exiting normally");
            Exit::Fatal
        }
        Err(Broken::Store(e)) => {
            host.say(Priority::Error, e.0);
            Exit::RingId
        }
        Err(Broken::Poll(e)) => {
            host.say(Priority::Error, format!("Cannot wait for events: {e}"));
            Exit::Fatal
        }
    }
}

fn last_words(mut log: Log, exit: Exit, text: &str) -> Exit {
    log.write(&main_line(Priority::Error, text.to_owned()));
    exit
}

fn lock_failed(error: PidFileError) -> Failed {
    match error {
        PidFileError::AlreadyRunning => (
            Exit::AlreadyRunning,
            "Another Corosync instance is already running.".to_owned(),
        ),
        PidFileError::Io(e) => (
            Exit::Lock,
            format!("Corosync Executive couldn't create lock file. {e}"),
        ),
    }
}

/// Reads corosync.conf and the files of `uidgid.d` beside it, for a start or for a node that cannot change `fixed`.
pub(crate) fn read_config(path: &Path, fixed: &Fixed) -> Result<Config, String> {
    let name = path.display().to_string();
    let main = std::fs::read(path)
        .map_err(|e| format!("Can't read file {name}: {e}. Write one or name another with -c."))?;
    let mut extra = Vec::new();
    let dir = path
        .parent()
        .unwrap_or_else(|| Path::new("."))
        .join("uidgid.d");
    if let Ok(entries) = std::fs::read_dir(&dir) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|t| t.is_file()) {
                let path = entry.path();
                let bytes = std::fs::read(&path)
                    .map_err(|e| format!("Can't read file {}: {e}", path.display()))?;
                extra.push((path.display().to_string(), bytes));
            }
        }
    }
    let extra: Vec<SourceFile<'_>> = extra
        .iter()
        .map(|(name, bytes)| SourceFile { name, bytes })
        .collect();
    let main = SourceFile {
        name: &name,
        bytes: &main,
    };
    config::reload(main, &extra, &mut Machine::new(), fixed).map_err(|e| e.to_string())
}

fn say_version() -> Exit {
    match std::io::stdout().write_all(version::text().as_bytes()) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Usage,
    }
}

fn complain(text: &str) {
    let line = format!("{text}\n");
    // There is nowhere else to say it.
    let _closed = std::io::stderr().write_all(line.as_bytes());
}

#[track_caller]
const fn main_line(priority: Priority, text: String) -> Record {
    Record::new(Subsystem::Main, priority, text)
}
