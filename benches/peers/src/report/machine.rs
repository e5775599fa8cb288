//! The machine that a run is on, as Linux tells it.

use std::fs;
use std::process::Command;
use std::thread;

/// Today, in UTC.
pub fn date() -> String {
    let output = Command::new("date").args(["-u", "+%F"]).output();
    let date = String::from_utf8(output.expect("a calendar").stdout);
    date.expect("a date is text").trim().to_owned()
}

/// The version, without what a distribution adds to it.
pub fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a Linux");
    let version = release.trim().split('-').next().unwrap_or_default();
    format!("Linux {version}")
}

pub fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").expect("a Linux");
    model(&text).unwrap_or(std::env::consts::ARCH).to_owned()
}

pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Not every architecture's kernel says one.
fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    let (_, model) = line.split_once(':')?;
    Some(model.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_names_the_model() {
        let text = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: A CPU @ 2 GHz\n";
        assert_eq!(model(text), Some("A CPU @ 2 GHz"));
        assert_eq!(model("processor\t: 0\nBogoMIPS\t: 50\n"), None);
    }
}
