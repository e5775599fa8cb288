//! bartizan and its peers, side by side in one run.
//!
//! Every table has one floor and several contestants that do the same work on the same requests.
//! They take turns (A B C, B C A, ..), so that whatever else the machine does hits all alike, and
//! each is told by the median of its turns. Read the ratios: the nanoseconds are this machine's.
//!
//! `cargo run --release` measures; `-- --quick` takes a few turns, to see that everything runs.

mod harness;
mod health;
mod rate_limit;
mod request;
mod security_headers;

use harness::Effort;

fn main() {
    let effort = match std::env::args().nth(1).as_deref() {
        None => Effort::Full,
        Some("--quick") => Effort::Quick,
        Some(other) => {
            eprintln!("unknown argument {other}; there is only --quick");
            std::process::exit(2);
        }
    };

    rate_limit::allowed().run(effort);
    rate_limit::allowed_with_headers().run(effort);
    rate_limit::rejected().run(effort);
    security_headers::fixed().run(effort);
    security_headers::nonce().run(effort);
    health::report().run(effort);
}
