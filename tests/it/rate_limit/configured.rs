//! Policies from a file, and a file that changes while requests are served.

use super::*;
use bartizan::rate_limit::RateLimitConfig;

const FILE: &str = r#"
    [[limits]]
    name = "api"
    quota = { count = 60, per = "minute" }
    by = "client_ip"

    [[limits]]
    name = "login"
    quota = { count = 1, per = "30s" }
    on = "POST /login"
    by = { header = "x-account", missing = "reject" }

    [[limits]]
    name = "bytes"
    quota = { count = 1000, per = "hour" }
    windows = [{ name = "bytes-daily", quota = { count = 5000, per = "day" } }]
    on = "PUT"
    by = "constant"
    cost = 400
    unit = "content-bytes"

    [[limits]]
    name = "trial"
    quota = { count = 1, per = "day" }
    by = "constant"
    mode = "shadow"
"#;

fn config(file: &str) -> RateLimitConfig {
    let config: RateLimitConfig = toml::from_str(file).unwrap();
    config.client(&ClientSource::peer())
}

fn host(file: &str) -> Host {
    let policies = config(file).policies().unwrap();
    Host::of(RateLimitLayer::builder().policies(policies))
}

#[tokio::test]
async fn a_file_meters_as_the_same_policies_in_code_do() {
    let mut host = host(FILE);
    let response = host.send(get("/")).await;
    assert_eq!(header(&response, "ratelimit"), Some(r#""api";r=59;t=1"#));
    assert_eq!(
        host.passing(3, || get("/")).await,
        3,
        "the trial refuses nobody"
    );

    assert_eq!(host.status(post("/login")).await, 400);
    let login = || with(post("/login"), "x-account", "ann");
    assert_eq!(host.passing(2, login).await, 1);
    let refused = host.send(login()).await;
    assert_eq!(header(&refused, "retry-after"), Some("30"));

    let put = || Request::put("/documents/7").body(()).unwrap();
    let response = host.send(put()).await;
    assert_eq!(
        header(&response, "ratelimit-policy"),
        Some(
            r#""api";q=60;w=60, "bytes";q=1000;w=3600;qu="content-bytes", "bytes-daily";q=5000;w=86400;qu="content-bytes""#
        )
    );
    assert_eq!(host.passing(5, put).await, 1, "of 1000, at 400 each");
}

#[tokio::test]
async fn a_changed_file_swaps_the_quotas_of_a_running_layer() {
    let mut host = host(FILE);
    let login = || with(post("/login"), "x-account", "ann");
    assert_eq!(host.passing(2, login).await, 1);
    let next = config(&FILE.replace("per = \"30s\"", "per = \"10s\""));
    let quotas = config(FILE).reloaded(&next).unwrap();
    host.layer.swap_quotas(quotas).unwrap();
    let refused = host.send(login()).await;
    assert_eq!(header(&refused, "retry-after"), Some("10"));
    host.clock.advance(10 * SECOND);
    assert_eq!(host.passing(2, login).await, 1);

    let other = config(&FILE.replace("\"POST /login\"", "\"POST /sign-in\""));
    let error = next.reloaded(&other).unwrap_err();
    assert_eq!(error.field(), "limits[1].on");
}
