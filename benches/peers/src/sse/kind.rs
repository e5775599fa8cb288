//! Who takes part.

use std::process::Command;

use super::{better_sse, nchan};

/// A contestant, and the server that it runs on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Bytes written to sockets, with no HTTP: what the kernel costs.
    Floor,
    /// The usual recipe.
    Broadcast,
    /// The same on another server, which has a thread of its own for connections.
    Actix,
    /// A server that events are posted to, as an application's are.
    Nchan,
    /// The same where nobody has events of their own.
    NchanForAll,
    BetterSse,
    /// The least that events on hyper take.
    ByHand,
    Axum,
    Hyper,
    /// The head of a stream, and a body that says nothing: what the server costs for an open connection.
    Silent,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Floor,
        Self::Broadcast,
        Self::Actix,
        Self::Nchan,
        Self::NchanForAll,
        Self::BetterSse,
        Self::ByHand,
        Self::Axum,
        Self::Hyper,
        Self::Silent,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor: raw TCP",
            Self::Broadcast => "axum::serve, Sse, tokio broadcast and a filter",
            Self::Actix => "actix-web, actix-web-lab's Sse, the same channel",
            Self::Nchan => "nginx, nchan: a channel each, and one for all",
            Self::NchanForAll => "nginx, nchan: one channel for all",
            Self::BetterSse => "Node, better-sse: a channel each, one for all",
            Self::ByHand => "bare hyper, by hand, with no log",
            Self::Axum => "bartizan on axum::serve",
            Self::Hyper => "bartizan on bare hyper",
            Self::Silent => "floor: bare hyper, the same head, silence",
        }
    }

    pub fn flag(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Broadcast => "broadcast",
            Self::Actix => "actix",
            Self::Nchan => "nchan",
            Self::NchanForAll => "nchan-for-all",
            Self::BetterSse => "better-sse",
            Self::ByHand => "by-hand",
            Self::Axum => "axum",
            Self::Hyper => "hyper",
            Self::Silent => "silent",
        }
    }

    /// What says its port on standard output, and then does what standard input orders.
    pub fn command(self) -> Command {
        match self {
            Self::BetterSse => better_sse::command(),
            _ => {
                let mut command = Command::new(std::env::current_exe().expect("a path"));
                command.args(["--serve", self.flag()]);
                command
            }
        }
    }

    /// Whether that only hands orders on to the processes that serve, which it has started.
    pub fn is_relayed(self) -> bool {
        matches!(self, Self::Nchan | Self::NchanForAll)
    }

    /// What is not installed, and would have to be.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Nchan | Self::NchanForAll => nchan::missing(),
            Self::BetterSse => better_sse::missing(),
            _ => None,
        }
    }
}
