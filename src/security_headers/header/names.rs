//! Names of headers that `http` does not know.

use http::HeaderName;

pub(crate) const COEP: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
pub(crate) const COEP_REPORT_ONLY: HeaderName =
    HeaderName::from_static("cross-origin-embedder-policy-report-only");
pub(crate) const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
pub(crate) const COOP_REPORT_ONLY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy-report-only");
pub(crate) const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
pub(crate) const INTEGRITY_POLICY: HeaderName = HeaderName::from_static("integrity-policy");
pub(crate) const INTEGRITY_POLICY_REPORT_ONLY: HeaderName =
    HeaderName::from_static("integrity-policy-report-only");
pub(crate) const ORIGIN_AGENT_CLUSTER: HeaderName = HeaderName::from_static("origin-agent-cluster");
pub(crate) const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
pub(crate) const PERMISSIONS_POLICY_REPORT_ONLY: HeaderName =
    HeaderName::from_static("permissions-policy-report-only");
pub(crate) const REPORTING_ENDPOINTS: HeaderName = HeaderName::from_static("reporting-endpoints");
