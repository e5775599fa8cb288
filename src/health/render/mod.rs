//! What a report looks like on the wire: pure functions from a report to bytes.
//!
//! Two viewers are told apart. The public sees the status and the reason codes. A viewer of details
//! sees names, measurements and the texts that hosts gave for the public. Neither ever sees an
//! error's own text: it is not part of a report.

pub(super) mod json;
pub(super) mod text;

/// Who reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Viewer {
    Public,
    Details,
}

impl Viewer {
    pub(super) const ALL: [Self; 2] = [Self::Public, Self::Details];
}
