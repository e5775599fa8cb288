//! The other headers: one typed value per file.

pub use self::clear_site_data::SiteData;
pub use self::cross_origin::{EmbedderPolicy, OpenerPolicy, ResourcePolicy};
pub use self::frame_options::FrameOptions;
pub use self::hsts::Hsts;
pub use self::integrity::IntegrityDestination;
pub use self::permissions::{Allowlist, PermissionsPolicy};
pub use self::referrer::ReferrerPolicy;

pub(super) use self::frame_options::Framing;
pub(super) use self::integrity::integrity_policy;
pub(super) use self::referrer::referrer_list;
pub(super) use self::reporting::Endpoints;

pub(super) mod names;

mod clear_site_data;
mod cross_origin;
mod frame_options;
mod hsts;
mod integrity;
mod permissions;
mod referrer;
mod reporting;
