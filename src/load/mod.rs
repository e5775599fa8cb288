//! What rooms read from files: any format of serde, with errors that name the path.
#![allow(
    dead_code,
    unused_imports,
    reason = "each room can be built alone and uses its part"
)]

pub(crate) use self::field::{Field, Table};
pub(crate) use self::tree::Node;

mod field;
mod tree;
