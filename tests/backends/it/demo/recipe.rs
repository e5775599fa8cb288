//! The fleet of two demos in the README beside the demo, as somebody would paste it into a shell.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use bartizan_process::{Directory, Process, wait_until};

use super::process::binary;
use crate::DEADLINE;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const README: &str = include_str!("../../../../examples/demo/README.md");

/// All that is to be pasted, in one piece.
fn recipe() -> String {
    let blocks = README.split("```bash\n").skip(1);
    let inside = blocks.filter_map(|block| Some(block.split_once("```")?.0));
    inside.collect()
}

#[test]
fn the_recipe_for_a_fleet_works_as_it_is_printed_and_leaves_nothing_behind() {
    // Which takes longer than the rest.
    let _ = binary();
    let directory = Directory::new("recipe");
    // PostgreSQL runs as another user if this is root.
    let anybody = Permissions::from_mode(0o711);
    fs::set_permissions(directory.path(), anybody).unwrap();
    let scratch = directory.join("scratch");
    fs::create_dir(&scratch).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-u", "-c", &recipe()]).current_dir(ROOT);
    bash.env("TMPDIR", &scratch);
    // A limit that is met also where a busy machine takes long over each announcement.
    bash.env("WRITES_PER_SECOND", "1");
    let mut shell = Process::start(bash, &directory).unwrap();
    let ended = wait_until(DEADLINE, || shell.exited());
    let told = shell.output();
    assert!(ended.is_some_and(|status| status.success()), "{told}");

    // `COUNT PORT STATUS`, of twenty announcements to each.
    let of_both: Vec<_> = told.lines().filter_map(counted).collect();
    let with = |status| of_both.iter().filter(move |row| row.2 == status);
    assert_eq!(of_both.iter().map(|row| row.0).sum::<u32>(), 40, "{told}");
    assert!(with(201).count() > 0, "{told}");
    assert_eq!(with(429).count(), 2, "each refuses: {told}");

    let lost = told.lines().find_map(|line| {
        let numbers: Vec<u32> = line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        line.ends_with("twice").then_some(numbers)
    });
    let [acknowledged, shown, twice] = lost.expect("the last line")[..] else {
        panic!("not three numbers: {told}");
    };
    assert!(acknowledged > 1, "somebody has written: {told}");
    assert_eq!((shown, twice), (acknowledged, 0), "{told}");
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
    let left = shell.members();
    assert!(left.is_empty(), "{left:?} still run");
}

/// A line of `uniq -c`.
fn counted(line: &str) -> Option<(u32, u16, u16)> {
    let mut words = line.split_whitespace();
    let row = (
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
    );
    words.next().is_none().then_some(row)
}
