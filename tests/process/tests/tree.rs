//! What is paused, resumed, killed and cleaned up, proved on shells that start shells.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bartizan_process::{Directory, Process, free_port, tree, wait_until};

/// Long, for a machine that does much else: only what never comes takes all of it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A shell with two children: one in its group, one in a session of its own.
fn family(directory: &Directory) -> Process {
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep 600 & setsid sleep 600 & echo started; wait"]);
    let process = Process::start(shell, directory).expect("every system has sh");
    wait_until(DEADLINE, || (process.members().len() == 3).then_some(()))
        .expect("a shell and its two children");
    process
}

fn all_gone(pids: &[u32]) -> bool {
    pids.iter().all(|&pid| !tree::is_alive(pid))
}

#[test]
fn a_kill_reaches_children_that_left_the_group() {
    let directory = Directory::new("tree");
    let mut process = family(&directory);
    let members = process.members();
    process.kill();
    assert!(all_gone(&members));
    assert!(process.exited().is_some());
}

#[test]
fn a_pause_holds_until_the_resume() {
    let directory = Directory::new("tree");
    let mut process = family(&directory);
    process.pause();
    assert!(tree::is_stopped(process.id()));
    process.resume();
    wait_until(DEADLINE, || (!tree::is_stopped(process.id())).then_some(())).expect("goes on");
}

#[test]
fn a_paused_family_can_be_killed() {
    let directory = Directory::new("tree");
    let mut process = family(&directory);
    process.pause();
    let members = process.members();
    assert_eq!(members.len(), 3);
    drop(process);
    assert!(all_gone(&members));
}

#[test]
fn a_panic_leaves_neither_processes_nor_directories() {
    let (report, found) = std::sync::mpsc::channel();
    let panicked = std::panic::catch_unwind(move || {
        let directory = Directory::new("tree");
        let process = family(&directory);
        report
            .send((process.members(), directory.path().to_owned()))
            .unwrap();
        panic!("as a failing assertion would");
    });
    assert!(panicked.is_err());
    let (members, path) = found.recv().unwrap();
    assert_eq!(members.len(), 3);
    assert!(all_gone(&members));
    assert!(!path.exists());
}

/// The guard's own test: the owner is a copy of this program that is killed, so that it drops nothing.
#[test]
fn a_killed_owner_leaves_nothing_behind() {
    const ROLE: &str = "BARTIZAN_OWNER_SAYS_IN";

    if let Ok(file) = std::env::var(ROLE) {
        let directory = Directory::new("owner");
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo $$ $PWD >\"$0\"; exec sleep 600", &file]);
        shell.current_dir(directory.path());
        let _process = Process::start(shell, &directory).unwrap();
        std::fs::write(format!("{file}.guarded"), "").unwrap();
        loop {
            std::thread::park();
        }
    }

    let directory = Directory::new("owner");
    let output = directory.join("output");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_owner_leaves_nothing_behind"])
        .env(ROLE, &output)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (pid, path) = wait_until(DEADLINE, || {
        // The shell may say so before its guard is there.
        if !directory.join("output.guarded").exists() {
            return None;
        }
        let said = std::fs::read_to_string(&output).ok()?;
        let (pid, path) = said.strip_suffix('\n')?.split_once(' ')?;
        Some((pid.parse().ok()?, Path::new(path).to_owned()))
    })
    .expect("the owner starts a shell, which says who and where it is");

    assert!(tree::is_alive(pid) && path.is_dir());
    owner.kill().unwrap();
    owner.wait().unwrap();
    let cleaned = || (!tree::is_alive(pid) && !path.exists()).then_some(());
    wait_until(DEADLINE, cleaned).expect("the guard cleans up");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let directory = Directory::new("tree");
    let command = Command::new("/nowhere/at-all");
    let error = Process::start(command, &directory).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn output_and_exit_status_are_kept() {
    let directory = Directory::new("tree");
    let mut shell = Command::new("sh");
    shell.args(["-c", "echo out; echo err >&2; exit 3"]);
    let mut process = Process::start(shell, &directory).unwrap();
    let status = wait_until(DEADLINE, || process.exited()).expect("ends by itself");
    assert_eq!(status.code(), Some(3));
    assert_eq!(process.stdout(), "out\n");
    assert_eq!(process.output(), "out\nerr\n");
}

#[test]
fn ports_are_given_out_once_and_below_the_range_of_outgoing_connections() {
    let ports: std::collections::HashSet<_> = (0..50).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 50);
    assert!(ports.iter().all(|port| *port < 32_768));
}
