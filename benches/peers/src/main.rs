//! bartizan and its peers, side by side in one run.
//!
//! Every table has one floor and several contestants that do the same work on the same requests.
//! They take turns (A B C, B C A, ..), so that whatever else the machine does hits all alike, and
//! each is told by the median of its turns. Read the ratios: the nanoseconds are this machine's.
//!
//! `cargo run --release` measures; `-- --quick` takes a few turns, to see that everything runs.
//! `--json FILE` writes what is printed, and `--svg DIR` a chart of each table. Any other argument
//! picks the tables whose titles contain it.

mod by_hand;
mod harness;
mod health;
mod rate_limit;
mod rate_limit_keys;
mod report;
mod request;
mod security_headers;
mod sse;

use harness::Effort;
use report::{Destination, Run};

fn main() {
    let mut effort = Effort::Full;
    let mut wanted = String::new();
    let mut destination = Destination::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => effort = Effort::Quick,
            "--json" => destination.json = Some(arguments.next().expect("--json FILE").into()),
            "--svg" => destination.svg = Some(arguments.next().expect("--svg DIR").into()),
            // A process of ours that is measured from outside.
            "--serve" => return sse::serve(&arguments.next().unwrap_or_default()),
            _ => wanted = argument,
        }
    }

    if let Some(missing) = sse::missing(&wanted) {
        eprintln!(
            "{missing} is not installed; scripts/peers installs what is missing, and then runs this"
        );
        std::process::exit(2);
    }
    destination.prepare();
    let mut run = Run::begin(effort, sse::programs());
    let contests = [
        rate_limit::allowed(),
        rate_limit::allowed_with_headers(),
        rate_limit::rejected(),
        security_headers::fixed(),
        security_headers::nonce(),
        health::report(),
        health::ready(),
    ];
    for contest in contests {
        if contest.title.contains(&wanted) {
            run.tables.push(contest.run(effort));
        }
    }
    run.tables.extend(rate_limit_keys::run(effort, &wanted));
    run.tables.extend(sse::targeted(effort, &wanted));
    run.tables.extend(sse::run(effort, &wanted));
    destination.save(&run);
}
