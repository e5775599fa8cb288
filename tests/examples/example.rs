//! One running example.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// An example that serves, and is killed on drop.
pub(crate) struct Example {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl Example {
    /// Starts `examples/NAME.rs` on a port that the system picks, and waits until it says where it
    /// listens.
    pub(crate) fn start(name: &str) -> Self {
        let mut child = Command::new(binaries().join(name))
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // An example that ends without a word ends its output too, and thereby this wait.
        stdout.read_line(&mut first).unwrap();
        let url = first
            .trim_end()
            .strip_prefix("listening on ")
            .map(str::to_owned);
        let mut example = Self {
            child,
            url: String::new(),
        };
        example.url = url.unwrap_or_else(|| panic!("{name} says {first:?}"));
        example
    }

    /// Lets it hold no more than `most` open files, and waits until it does.
    #[cfg(target_os = "linux")]
    pub(crate) async fn run_out_of_files(&self, most: u64) -> Vec<std::net::TcpStream> {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};

        let pid = Pid::from_child(&self.child);
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        prlimit(Some(pid), Resource::Nofile, limit).unwrap();
        let address = self.url.strip_prefix("http://").unwrap();
        let crowd = (0..2 * most).map(|_| std::net::TcpStream::connect(address).unwrap());
        let crowd = crowd.collect();
        let files = format!("/proc/{}/fd", self.child.id());
        // Nothing to read there is left of one that has ended.
        let held = || std::fs::read_dir(&files).map_or(most, |open| open.count() as u64);
        while held() < most {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        crowd
    }
}

/// What `examples/NAME.rs` prints, for one that ends by itself.
pub(crate) fn output(name: &str) -> String {
    let output = Command::new(binaries().join(name)).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

impl Drop for Example {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the examples once, and says where they are. Cargo itself builds them only for a plain
/// `cargo test`, and leaves old ones in place for `cargo test --test examples`.
fn binaries() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--example",
                "hyper",
                "--example",
                "axum",
            ])
            .args(["--example", "tonic", "--example", "own_store"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success(),
            "an example does not compile:\n{complaint}"
        );
        // This is `target/debug/deps/examples-0123456789abcdef`.
        let this = std::env::current_exe().unwrap();
        this.ancestors().nth(2).unwrap().join("examples")
    })
}
