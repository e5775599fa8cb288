//! The scripts. Each is sent once, and called by its digest.
//!
//! The first line makes a replica refuse them, which may lag; and lets those that only read and
//! make room go on when the server is out of memory. It is why Redis 7 is needed.

use redis::Script;

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) append: Script,
    pub(super) read: Script,
    pub(super) prune: Script,
    pub(super) trim: Script,
    pub(super) renew: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            append: Script::new(concat!(
                "#!lua\n",
                include_str!("log.lua"),
                include_str!("append.lua")
            )),
            read: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("log.lua"),
                include_str!("read.lua")
            )),
            prune: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("log.lua"),
                include_str!("prune.lua")
            )),
            trim: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("log.lua"),
                include_str!("trim.lua")
            )),
            renew: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("log.lua"),
                include_str!("renew.lua")
            )),
        }
    }
}

/// Entries that pruning takes away at once.
pub(super) const PRUNED: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_batch_is_short_to_the_script_as_well() {
        let batch = format!("'COUNT', {PRUNED})) do");
        assert!(include_str!("log.lua").contains(&batch));
    }
}
