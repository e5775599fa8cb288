//! What is tried against rate limits, and what other limiters were found to get wrong.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;
use crate::logs::on_this_thread;
use bartizan::client::{Ipv6Prefix, TrustedProxies};
use bartizan::rate_limit::{Headers, MemoryStore, Route};

const CANARY: &str = "c4n4ry";

#[tokio::test]
async fn nothing_of_a_request_is_reflected_in_its_refusal() {
    let refusals = || {
        [
            minutely("api", 1).by(key::from_fn(|head| head.uri().query().map(str::to_owned))),
            minutely("costly", 1)
                .on(Route::put("/{*rest}"))
                .cost_for(|_| 2),
            minutely("keyed", 9)
                .on(Route::delete("/{*rest}"))
                .by(key::header("x-missing").or_reject()),
        ]
    };
    let request = |method: &str, name: &'static str, value: &str| {
        let uri = format!("/{CANARY}/path?token={CANARY}");
        let request = Request::builder().method(method).uri(uri);
        let request = request
            .header("x-forwarded-for", CANARY)
            .header("referer", format!("http://{CANARY}/"))
            .header("user-agent", CANARY)
            .header("cookie", format!("session={CANARY}"))
            .header("host", format!("{CANARY}.example"));
        with(request.body(()).unwrap(), name, value)
    };
    for (method, name, value, status) in [
        ("GET", "accept", "application/json", 429),
        ("GET", "accept", "text/event-stream", 200),
        ("POST", "content-type", "application/grpc+c4n4ry", 200),
        ("PUT", "accept", "text/event-stream", 413),
        ("PUT", "content-type", "application/grpc", 413),
        ("DELETE", "x-other", CANARY, 400),
        ("DELETE", "content-type", "application/grpc", 400),
    ] {
        let mut host = Host::new(refusals());
        host.send(request("POST", "x-a", "b")).await;
        let served = host.service.get_ref().calls;
        let response = host.send(request(method, name, value)).await;
        assert_eq!(response.status(), status, "{method} {value}");
        assert_eq!(host.service.get_ref().calls, served, "it is a refusal");
        let head = format!("{:?}", response.headers());
        assert!(!head.contains(CANARY), "{method} {value}: {head}");
        let body = text(response).await;
        assert!(!body.contains(CANARY), "{method} {value}: {body}");
    }
}

#[tokio::test]
async fn a_flood_of_refusals_writes_no_log_line_and_debugging_names_no_client() {
    async fn flood(level: tracing::Level) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = on_this_thread(subscriber);
        let mut host = Host::new([
            minutely("api", 1).by((per_client(), key::header("x-api-key"))),
            minutely("trial", 1).shadow(),
        ]);
        for _ in 0..100 {
            host.send(with(from("192.0.2.77"), "x-api-key", CANARY))
                .await;
        }
        drop(guard);
        let text = log.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }
    assert_eq!(flood(tracing::Level::INFO).await, "");
    let text = flood(tracing::Level::DEBUG).await;
    for event in [
        "request refused policy=api",
        "request would be refused policy=trial",
    ] {
        assert!(text.contains(&format!("DEBUG bartizan: {event}")), "{text}");
    }
    for secret in ["192.0.2.77", CANARY] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn rotating_addresses_within_a_network_buys_nothing() {
    let mut host = Host::new([minutely("api", 3).by(per_client())]);
    let mut passed = 0;
    for n in 0..500_u64 {
        let low = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let ip = std::net::Ipv6Addr::from_bits(0x2001_0db8_0001_0002 << 64 | u128::from(low));
        passed += usize::from(host.status(from(&ip.to_string())).await == 200);
    }
    assert_eq!(passed, 3);
}

#[tokio::test]
async fn an_address_that_an_untrusted_peer_claims_buys_nothing() {
    let proxies = || TrustedProxies::cidrs(["10.0.0.0/8"]).unwrap();
    for source in [
        ClientSource::peer(),
        ClientSource::peer().behind(proxies()),
        ClientSource::peer().behind(proxies().forwarded()),
        ClientSource::peer().behind(proxies().single_header("cf-connecting-ip").unwrap()),
    ] {
        // The peer is no proxy; then the client stands behind one and prepends what it likes.
        let mut host = Host::new([minutely("api", 2).by(key::client_ip(&source))]);
        let mut passed = 0;
        for n in 0..50 {
            let claims = [
                ("x-forwarded-for", format!("198.51.100.{n}")),
                ("forwarded", format!("for=198.51.100.{n}")),
                ("cf-connecting-ip", format!("198.51.100.{n}")),
                ("x-real-ip", format!("198.51.100.{n}")),
            ];
            let request = claims
                .iter()
                .fold(from("203.0.113.1"), |request, (name, value)| {
                    with(request, name, value)
                });
            passed += usize::from(host.status(request).await == 200);
        }
        assert_eq!(passed, 2, "{source:?}");
    }
    let source = ClientSource::peer().behind(proxies());
    let mut host = Host::new([minutely("api", 2).by(key::client_ip(&source))]);
    let behind = |n: usize| {
        let chain = format!("198.51.100.{n}, 203.0.113.7, 10.0.0.9");
        with(from("10.0.0.1"), "x-forwarded-for", &chain)
    };
    let mut passed = 0;
    for n in 0..50 {
        passed += usize::from(host.status(behind(n)).await == 200);
    }
    assert_eq!(
        passed, 2,
        "the left-most entry is the client's own invention"
    );
}

#[tokio::test]
async fn a_chain_of_ten_thousand_entries_is_counted_by_its_last_good_hop() {
    let source = ClientSource::peer().behind(TrustedProxies::cidrs(["10.0.0.0/8"]).unwrap());
    let mut host = Host::new([minutely("api", 1).by(key::client_ip(&source))]);
    for (entry, status) in [("198.51.100.1", 200), ("10.0.0.9", 200), ("garbage", 200)] {
        let chain = vec![entry; 10_000].join(", ");
        let request = || with(from("10.0.0.1"), "x-forwarded-for", &chain);
        assert_eq!(host.status(request()).await, status, "{entry}");
        assert_eq!(host.status(request()).await, 429, "{entry}");
    }
}

#[tokio::test]
async fn overriding_the_method_or_shouting_does_not_dodge_a_route() {
    let mut host = Host::new([minutely("login", 1).on(Route::post("/login"))]);
    let dodge = |name, value| with(post("/login"), name, value);
    assert_eq!(host.status(post("/login")).await, 200);
    for request in [
        dodge("x-http-method-override", "GET"),
        dodge("x-original-url", "/other"),
        dodge("x-rewrite-url", "/other"),
        post("/login?next=/"),
        post("/l%6fgin"),
        post("/%6C%6F%67%69%6E"),
    ] {
        let uri = request.uri().clone();
        assert_eq!(host.status(request).await, 429, "{uri}");
    }
}

/// A cache in front stores a 200 to a GET that does not forbid it, some by the path's ending alone: one
/// client that is over its limit could have put an empty page in the place of `/app.js` for everybody.
#[tokio::test]
async fn no_refusal_can_be_had_that_a_cache_would_serve_to_others() {
    for (kind, value) in [
        ("content-type", "application/grpc"),
        ("content-type", "application/grpc+proto"),
        ("accept", "text/event-stream"),
        ("accept", "*/*"),
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let mut host = Host::new([minutely("api", 1)]);
            let ask = || {
                let request = Request::builder().method(method).uri("/app.js");
                with(request.body(()).unwrap(), kind, value)
            };
            assert_eq!(host.status(ask()).await, 200);
            let refusal = host.send(ask()).await;
            let cache = header(&refusal, "cache-control");
            assert_eq!(cache, Some("no-store"), "{method} {kind}: {value}");
            let in_trailers = header(&refusal, "grpc-status").is_some();
            let is_call = method == "POST" && value.contains("grpc");
            assert_eq!(in_trailers, is_call, "{method} {kind}: {value}");
        }
    }
}

#[tokio::test]
async fn a_6to4_network_is_its_ipv4_address() {
    let mut host = Host::new([minutely("api", 2).by(per_client())]);
    assert_eq!(host.status(from("192.0.2.1")).await, 200);
    let mut passed = 0;
    for n in 0..50 {
        let ip = format!("2002:c000:201:{n:x}::1");
        passed += usize::from(host.status(from(&ip)).await == 200);
    }
    assert_eq!(
        passed, 1,
        "the holder of 192.0.2.1 holds 2002:c000:201::/48"
    );
}

/// Each of a site's networks is a key, and in a small enough store they would be all there is room for.
#[tokio::test]
async fn a_policy_by_the_wider_prefix_bounds_the_slots_that_one_site_takes() {
    let wide = key::client_prefix(&ClientSource::peer(), Ipv6Prefix::new(48).unwrap());
    let network = || Policy::new("network", Quota::per_day(5)).by(per_client());
    let site = Policy::new("site", Quota::per_day(10)).by(wide);
    let (alone, both) = (vec![network()], vec![network(), site]);
    for (policies, bounded) in [(alone, false), (both, true)] {
        let store = MemoryStore::with_capacity(64);
        let builder = RateLimitLayer::builder().policies(policies).store(store);
        let mut host = Host::of(builder);
        for n in 0..2_000 {
            host.send(from(&format!("2001:db8:1:{n:x}::1"))).await;
        }
        assert_eq!(host.layer.usage().keys() <= 11, bounded);
        let mut newcomers = 0;
        for n in 1..=20 {
            let request = from(&format!("198.51.100.{n}"));
            newcomers += usize::from(host.status(request).await == 200);
        }
        assert_eq!(newcomers == 20, bounded, "{newcomers}");
    }
}

/// What a handler takes for one account is one here if the host says what that is.
#[tokio::test]
async fn a_number_in_a_path_is_one_key_however_it_is_written() {
    let account = key::from_fn(|head| head.path().strip_prefix("/accounts/")?.parse::<u64>().ok());
    let mut host = Host::new([minutely("guesses", 1).by(account)]);
    assert_eq!(host.status(get("/accounts/7")).await, 200);
    for path in ["/accounts/07", "/accounts/0000007", "/accounts/+7"] {
        assert_eq!(host.status(get(path)).await, 429, "{path}");
    }
    assert_eq!(host.status(get("/accounts/8")).await, 200);
}

/// A tunnel's and a server's own target have no path, and no rule for one; a proxy's has a path of its own.
#[tokio::test]
async fn a_target_in_another_form_escapes_no_rule_and_breaks_none() {
    let mut host = Host::new([
        minutely("all", 9),
        minutely("login", 1).on(Route::any("/login")),
        minutely("below", 9).on(Route::any("/{*rest}")),
    ]);
    let to = |method: &str, target: &str| {
        let request = Request::builder().method(method).uri(target);
        request.body(()).unwrap()
    };
    assert_eq!(host.status(post("/login")).await, 200);
    for target in [
        "http://login.example/login",
        "https://user@[2001:db8::1]:8443/login?x",
        "/login?/",
    ] {
        assert_eq!(host.status(to("GET", target)).await, 429, "{target}");
    }
    for (method, target, policies) in [
        ("OPTIONS", "*", 1),
        ("CONNECT", "login.example:443", 0),
        ("GET", "http://login.example", 1),
        ("GET", "/", 1),
        ("GET", "//login", 2),
        ("GET", "/%", 2),
        ("GET", "/%FF%C3", 2),
        ("GET", "/{*rest}", 2),
    ] {
        let response = host.send(to(method, target)).await;
        assert_eq!(response.status(), 200, "{method} {target}");
        let told = header(&response, "ratelimit").map_or(0, |list| list.split(", ").count());
        assert_eq!(told, policies, "{method} {target}");
    }
}

#[tokio::test]
async fn http_and_grpc_share_a_budget() {
    let mut host = Host::new([minutely("api", 4).by(per_client())]);
    let call = || {
        let mut call = with(from("192.0.2.1"), "content-type", "application/grpc");
        *call.method_mut() = http::Method::POST;
        call
    };
    assert_eq!(host.passing(2, || from("192.0.2.1")).await, 2);
    for left in ["r=1;t=15", "r=0;t=15"] {
        let response = host.send(call()).await;
        assert!(
            header(&response, "ratelimit").unwrap().ends_with(left),
            "{response:?}"
        );
    }
    assert_eq!(header(&host.send(call()).await, "grpc-status"), Some("8"));
    assert_eq!(host.status(from("192.0.2.1")).await, 429);
}

#[tokio::test]
async fn each_policy_tells_its_own_remainder_under_its_own_name() {
    let mut host = Host::new([minutely("wide", 10), minutely("narrow", 2)]);
    host.passing(9, || get("/")).await;
    let refused = host.send(get("/")).await;
    assert_eq!(
        header(&refused, "ratelimit"),
        Some(r#""wide";r=8;t=6, "narrow";r=0;t=30"#)
    );
    assert!(
        text(refused)
            .await
            .ends_with(r#""violated-policies":["narrow"]}"#)
    );
}

#[tokio::test]
async fn a_wait_just_under_a_whole_number_of_seconds_is_rounded_up() {
    let policy = Policy::new("api", Quota::per_hour(1)).by(key::constant());
    let mut host = Host::of(
        RateLimitLayer::builder()
            .policy(policy)
            .headers(Headers::Off),
    );
    assert_eq!(host.status(get("/")).await, 200);
    host.clock.advance(Duration::from_nanos(1));
    let refused = host.send(get("/")).await;
    assert_eq!(header(&refused, "retry-after"), Some("3600"));
    host.clock.advance(3599 * SECOND);
    let refused = host.send(get("/")).await;
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    host.clock.advance(SECOND);
    assert_eq!(host.status(get("/")).await, 200);
}

#[test]
fn so_many_a_second_is_not_one_in_so_many_seconds() {
    assert_eq!(
        Quota::per_second(4000).interval(),
        Duration::from_micros(250)
    );
    let five_in_two = Quota::per(5, 2 * SECOND);
    assert_eq!(five_in_two.interval(), Duration::from_millis(400));
    assert_eq!(five_in_two.cells(), 5);
}

#[tokio::test]
async fn a_request_that_goes_away_stays_charged_and_takes_its_handler_with_it() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 1))
        .build()
        .unwrap();
    let held = Arc::new(());
    let handler = tower::service_fn({
        let held = Arc::clone(&held);
        move |_: Request<()>| {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        }
    });
    let mut service = layer.layer(handler);
    let future = service.ready().await.unwrap().call(get("/"));
    assert!(futures::FutureExt::now_or_never(future).is_none());
    assert_eq!(
        Arc::strong_count(&held),
        2,
        "the handler is gone, the service is not"
    );
    let refused = service.ready().await.unwrap().call(get("/")).await.unwrap();
    assert_eq!(refused.status(), 429);
}

/// What a log subscriber wrote.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
