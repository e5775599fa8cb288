//! Flags that cannot be used, and the environment.

use std::io::Read;
use std::process::{Output, Stdio};

use crate::server::{Data, Process, command, wait_for};

fn run(data: &Data, flags: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = command();
    // Where a flag does not say otherwise, nothing outside of this test is touched.
    command
        .env("LISTEN", "127.0.0.1:0")
        .env("DATA_DIR", &data.0);
    command.args(flags).envs(environment.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    wait_for("the end", || process.exited());
    let mut output = Output {
        status: process.exited().unwrap(),
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let (stdout, stderr) = (process.0.stdout.take(), process.0.stderr.take());
    stdout.unwrap().read_to_end(&mut output.stdout).unwrap();
    stderr.unwrap().read_to_end(&mut output.stderr).unwrap();
    output
}

#[test]
fn a_bad_flag_is_one_line_that_names_flag_and_value_and_exit_status_2() {
    let data = Data::new();
    let file = data.0.join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = file.join("data");
    let below_a_file = below_a_file.to_str().unwrap();
    for (flags, environment, flag, value) in [
        (&["--listen", "nowhere"][..], &[][..], "--listen", "nowhere"),
        (
            &["--listen", "203.0.113.1:80"],
            &[],
            "--listen",
            "203.0.113.1:80",
        ),
        (
            &["--data-dir", below_a_file],
            &[],
            "--data-dir",
            below_a_file,
        ),
        (&["--reads-per-second", "0"], &[], "--reads-per-second", "0"),
        (
            &["--writes-per-second", "1e3"],
            &[],
            "--writes-per-second",
            "1e3",
        ),
        (
            &["--trusted-proxy", "10.0.0.0/99"],
            &[],
            "--trusted-proxy",
            "10.0.0.0/99",
        ),
        (&["--streams-per-user", "0"], &[], "--streams-per-user", "0"),
        (
            &["--redis-url", "redis:no/such url"],
            &[],
            "--redis-url",
            "redis:no/such url",
        ),
        (
            &[],
            &[("REDIS_URL", "not a URL")],
            "--redis-url",
            "not a URL",
        ),
        (
            &["--database-url", "mysql://127.0.0.1/"],
            &[],
            "--database-url",
            "mysql://127.0.0.1/",
        ),
        (&["--colour"], &[], "--colour", ""),
        (
            &[],
            &[("READS_PER_SECOND", "many")],
            "--reads-per-second",
            "many",
        ),
    ] {
        let output = run(&data, flags, environment);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {told}");
        assert!(output.stdout.is_empty(), "{flags:?}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(flag) && told.contains(value), "{told}");
    }
}

#[test]
fn help_lists_every_flag() {
    let output = run(&Data::new(), &["--help"], &[]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "--listen",
        "--data-dir",
        "--reads-per-second",
        "--writes-per-second",
        "--trusted-proxy",
        "--streams-per-user",
        "--redis-url",
        "--database-url",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
}
