//! Reads back what this module writes, for clients who do not speak the stream's format. Nothing
//! else is ever read by it, so the two cannot say different things of one event.

use std::borrow::Cow;

/// One block of a stream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::event_stream) struct Block<'a> {
    pub(in crate::event_stream) id: Option<&'a str>,
    /// The type, where it is not the default one.
    pub(in crate::event_stream) kind: Option<&'a str>,
    /// `None` for a block that fires nothing. Line ends are LF.
    pub(in crate::event_stream) data: Option<Cow<'a, str>>,
    /// When to come back, in milliseconds.
    pub(in crate::event_stream) retry: Option<&'a str>,
}

/// The blocks of a frame. A line of data is never empty on the wire, so an empty line ends a block.
pub(in crate::event_stream) fn blocks(frame: &str) -> impl Iterator<Item = Block<'_>> {
    frame.split_terminator("\n\n").map(Block::read)
}

impl<'a> Block<'a> {
    fn read(text: &'a str) -> Self {
        let mut block = Self::default();
        for line in text.split('\n') {
            match line.split_once(": ") {
                Some(("id", id)) => block.id = Some(id),
                Some(("event", kind)) => block.kind = Some(kind),
                Some(("retry", retry)) => block.retry = Some(retry),
                Some(("data", line)) => match &mut block.data {
                    None => block.data = Some(Cow::Borrowed(line)),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push('\n');
                        data.push_str(line);
                    }
                },
                _ => {}
            }
        }
        block
    }
}
