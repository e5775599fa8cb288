//! What the checks append, and whom they read it for.

use crate::event_stream::event::NewEvent;
use crate::event_stream::selector::Selector;

/// Events of several types, topics and users, with data that is awkward to keep.
pub(super) fn sample(n: u32) -> NewEvent {
    let kind = ["a", "b", "c.d"][n as usize % 3];
    let data = format!(
        "{n}{}",
        ["", "\r\n", "é\u{feff}", "' \" \\"][n as usize % 4]
    );
    let event = NewEvent::text(kind, data).expect("the type is one");
    let event = match n % 5 {
        0 => event.for_user("u1"),
        1 => event.for_user("u2"),
        _ => event,
    };
    match n % 2 {
        0 => event.topic("t"),
        _ => event,
    }
}

pub(super) fn selectors() -> impl Iterator<Item = Selector> {
    let plain = [
        Selector::everything(),
        Selector::public(),
        Selector::everything().only_types(["b", "c.d"]),
        Selector::public().only_users(["u1"]).only_topics(["t"]),
        Selector::everything().only_types(["never"]),
    ];
    plain.into_iter().chain(selectors_by_nul())
}

/// By names that no event here has and not every database can keep, some beside others that are
/// there.
pub(super) fn selectors_by_nul() -> [Selector; 4] {
    [
        Selector::public().only_users(["u1", "u2\0"]),
        Selector::public()
            .only_users(["u1\0"])
            .only_topics(["t", "t\0"]),
        Selector::everything().only_topics(["t\0"]),
        Selector::everything().only_types(["a\0", "b"]),
    ]
}
