//! Not a test: the built binary, as a command and as a daemon, for the others.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::daemon::{SITE, TOKEN};

/// Runs the binary to its end, away from any configuration of the machine.
pub(crate) fn vestibule(args: &[&str]) -> Output {
    vestibule_in(args, &[])
}

/// With these variables in its environment.
pub(crate) fn vestibule_in(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command
        .env_remove("VESTIBULE_TOKEN")
        .env_remove("VESTIBULE_URL")
        .env("NO_COLOR", "1")
        .envs(environment.iter().copied())
        .current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.args(args).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The binary in a process of its own, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Process {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(args, &[])
    }

    /// With these variables in its environment.
    pub(crate) fn start_in(args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.args(args).envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Read as it comes: a process whose pipe is full stands still.
        let (sender, lines) = std::sync::mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Self { child, lines }
    }

    /// The next line of its output; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        self.lines.recv().map(|line| line + "\n").unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for its end; answers the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon in a process of its own.
pub(crate) struct Served {
    process: Process,
    pub(crate) folder: TempDir,
    pub(crate) smtp: String,
    pub(crate) http: String,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_in(&[])
    }

    /// With these variables in its environment.
    pub(crate) fn start_in(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vestibule.toml"), SITE).unwrap();
        Self::over_in(folder, environment)
    }

    /// Over a folder with a configuration.
    pub(crate) fn over(folder: TempDir) -> Self {
        Self::over_in(folder, &[])
    }

    fn over_in(folder: TempDir, environment: &[(&str, &str)]) -> Self {
        let config = folder.path().join("vestibule.toml");
        let process = Process::start_in(&["serve", "--config", config.to_str().unwrap()], environment);
        let mut served = Self { process, folder, smtp: String::new(), http: String::new() };
        let started = served.event("daemon.started");
        let address = |name: &str| String::from(started[name].as_str().unwrap());
        (served.smtp, served.http) = (address("smtp"), address("http"));
        served.event("config.loaded");
        served
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("vestibule.toml")
    }

    /// Reads log lines up to the next one of this event.
    pub(crate) fn event(&mut self, name: &str) -> serde_json::Value {
        self.events_to(name).pop().unwrap()
    }

    /// The lines up to the next one of this event, with it.
    pub(crate) fn events_to(&mut self, name: &str) -> Vec<serde_json::Value> {
        let mut read = Vec::new();
        loop {
            let line = self.process.line();
            assert!(!line.is_empty(), "the daemon ended before {name}");
            read.push(serde_json::from_str::<serde_json::Value>(&line).unwrap());
            if read.last().unwrap()["event"] == name {
                return read;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// A client of its API.
    pub(crate) fn ask(&self, args: &[&str]) -> Output {
        let url = format!("http://{}", self.http);
        vestibule(&[args, &["--url", &url, "--token", TOKEN]].concat())
    }

    /// The API's JSON.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.ask(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Relays one mail, which must be taken.
    pub(crate) fn relay(&self, mail: &str) {
        let path = self.folder.path().join("mail.eml");
        std::fs::write(&path, mail).unwrap();
        let told = self.replay(&[&path], &[]);
        assert_eq!(told.last().unwrap()["summary"]["accepted"], 1, "{told:?}");
    }

    /// Relays files; answers the results and the summary.
    pub(crate) fn replay(&self, paths: &[&Path], options: &[&str]) -> Vec<serde_json::Value> {
        let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        let output = vestibule(&[&["replay", "--json", "--to", &self.smtp], options, &paths].concat());
        let lines = stdout(&output);
        assert!(!lines.is_empty(), "{}", stderr(&output));
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits for the end that it was brought to; answers the folder.
    pub(crate) fn gone(self) -> TempDir {
        self.process.end();
        self.folder
    }

    /// SIGTERM, and the end that it must come to.
    pub(crate) fn stop(self) {
        self.stop_and_keep();
    }

    /// The same; answers the folder.
    pub(crate) fn stop_and_keep(self) -> TempDir {
        self.signal("-TERM");
        let rest = self.process.lines.iter().collect::<Vec<_>>().join("\n");
        assert_eq!(self.process.end(), Some(0), "{rest}");
        assert!(rest.contains("daemon.stopped"), "{rest}");
        self.folder
    }
}
