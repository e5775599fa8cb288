//! The response fields of requests that pass.

use super::*;
use bartizan::rate_limit::{Headers, Report, Secret};
use proptest::prelude::*;
use tower::service_fn;

#[tokio::test]
async fn a_response_tells_what_is_left_and_when_there_is_more() {
    let mut host = Host::new([minutely("api", 60)]);
    let response = host.send(get("/")).await;
    assert_eq!(
        header(&response, "ratelimit-policy"),
        Some(r#""api";q=60;w=60"#)
    );
    assert_eq!(header(&response, "ratelimit"), Some(r#""api";r=59;t=1"#));
    assert_eq!(header(&response, "retry-after"), None);
    assert_eq!(header(&response, "x-ratelimit-limit"), None);
}

#[tokio::test]
async fn without_time_what_is_left_only_shrinks_whatever_is_asked_and_refused() {
    let cost = |head: &bartizan::rate_limit::Head<'_>| head.path().len() as u64;
    let policy = minutely("api", 50).and("daily", Quota::per_day(70));
    let mut host = Host::new([policy.cost_for(cost)]);
    let mut left = [50, 70];
    let mut refused = 0;
    for n in 0..200 {
        let price = 1 + n * 7 % 13;
        let response = host.send(get(&"/".repeat(price))).await;
        let passes = price <= left[0];
        assert_eq!(response.status() == 200, passes, "{price} of {left:?}");
        refused += usize::from(!passes);
        left = left.map(|left| left - if passes { price } else { 0 });
        let told = format!(r#""api";r={};t="#, left[0]);
        let fields = header(&response, "ratelimit").unwrap();
        assert!(fields.starts_with(&told), "{fields}");
        assert!(
            fields.contains(&format!(r#""daily";r={};t="#, left[1])),
            "{fields}"
        );
    }
    assert!(refused > 100);
}

#[tokio::test]
async fn fields_are_sent_when_a_host_wants_them() {
    for (headers, expected) in [
        (Headers::Always, [true, true, true, true]),
        (Headers::NearLimit(40), [false, true, true, true]),
        (Headers::RejectedOnly, [false, false, false, true]),
        (Headers::Off, [false; 4]),
    ] {
        let mut host = Host::of(
            RateLimitLayer::builder()
                .policy(minutely("a", 3))
                .headers(headers),
        );
        for expected in expected {
            let response = host.send(get("/")).await;
            assert_eq!(
                header(&response, "ratelimit").is_some(),
                expected,
                "{headers:?}"
            );
            assert_eq!(header(&response, "ratelimit-policy").is_some(), expected);
        }
    }
}

#[tokio::test]
async fn the_older_fields_are_there_on_request() {
    let mut host = Host::of(
        RateLimitLayer::builder()
            .policy(minutely("few", 6))
            .policy(minutely("many", 600))
            .legacy_headers(true),
    );
    let response = host.send(get("/")).await;
    assert_eq!(header(&response, "x-ratelimit-limit"), Some("6"));
    assert_eq!(header(&response, "x-ratelimit-remaining"), Some("5"));
    assert_eq!(header(&response, "x-ratelimit-reset"), Some("10"));
}

#[tokio::test]
async fn the_lists_of_nested_layers_and_a_handlers_own_fields_are_kept() {
    let inner = RateLimitLayer::builder()
        .policy(minutely("inner", 5))
        .build()
        .unwrap();
    let outer = RateLimitLayer::builder()
        .policy(minutely("outer", 9))
        .legacy_headers(true)
        .build()
        .unwrap();
    let handler = service_fn(|_: Request<()>| async {
        let response = Response::builder()
            .header("retry-after", "7")
            .header("x-ratelimit-limit", "mine")
            .body(Full::<Bytes>::from("ok"));
        Ok::<_, Infallible>(response.unwrap())
    });
    let response = outer
        .layer(inner.layer(handler))
        .oneshot(get("/"))
        .await
        .unwrap();
    let all = |name| -> Vec<_> { response.headers().get_all(name).iter().collect() };
    assert_eq!(
        all("ratelimit"),
        [r#""inner";r=4;t=12"#, r#""outer";r=8;t=7"#]
    );
    assert_eq!(
        all("ratelimit-policy"),
        [r#""inner";q=5;w=60"#, r#""outer";q=9;w=60"#]
    );
    assert_eq!(all("retry-after"), ["7"]);
    assert_eq!(all("x-ratelimit-limit"), ["mine"]);
}

#[tokio::test]
async fn a_response_that_switches_protocols_or_opens_a_tunnel_stays_as_it_is() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 5))
        .build()
        .unwrap();
    let upgrade = service_fn(|_: Request<()>| async {
        let response = Response::builder()
            .status(101)
            .body(Full::<Bytes>::default());
        Ok::<_, Infallible>(response.unwrap())
    });
    let response = layer
        .clone()
        .layer(upgrade)
        .oneshot(get("/ws"))
        .await
        .unwrap();
    assert!(response.headers().is_empty());
    let tunnel = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let connect = Request::connect("example.com:443").body(()).unwrap();
    let response = layer.layer(tunnel).oneshot(connect).await.unwrap();
    assert!(response.headers().is_empty());
}

#[tokio::test]
async fn handlers_and_outer_layers_can_see_the_decision() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 5))
        .expose_decision(true)
        .build()
        .unwrap();
    let handler = service_fn(|request: Request<()>| async move {
        let report = request.extensions().get::<Report>().unwrap();
        let left = report.window("api").unwrap().remaining();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(left.to_string())))
    });
    let response = layer.layer(handler).oneshot(get("/")).await.unwrap();
    let report = response.extensions().get::<Report>().unwrap();
    assert_eq!(report.windows().count(), 1);
    assert!(report.window("other").is_none());
    assert_eq!(text(response).await, "4");
}

/// The `pk` of each item of a list, by its name.
fn partitions(list: &str) -> Vec<(String, Vec<u8>)> {
    let list = sfv::Parser::new(list).parse::<sfv::List>().unwrap();
    list.into_iter()
        .map(|entry| {
            let sfv::ListEntry::Item(item) = entry else {
                panic!("a list of items");
            };
            let name = item.bare_item.as_string().unwrap().as_str().to_owned();
            let partition = item.params["pk"].as_byte_sequence().unwrap();
            (name, partition.to_vec())
        })
        .collect()
}

fn telling(secret: Secret) -> Host {
    let policy = minutely("api", 5).and("daily", Quota::per_day(50));
    let builder = RateLimitLayer::builder()
        .partition_keys(secret)
        .policy(policy.by(per_client()))
        .policy(minutely("network", 500).by(per_client()));
    Host::of(builder)
}

#[tokio::test]
async fn a_partition_key_tells_the_same_bucket_again_and_nobody_whose_it_is() {
    let secret = || Secret::new("0123456789abcdef").unwrap();
    let tell = async |host: &mut Host, ip: &str| {
        let response = host.send(from(ip)).await;
        let state = partitions(header(&response, "ratelimit").unwrap());
        let policy = partitions(header(&response, "ratelimit-policy").unwrap());
        assert_eq!(state, policy, "both fields mean the same bucket");
        state
    };
    let mut host = telling(secret());
    let ann = tell(&mut host, "192.0.2.1").await;
    let names: Vec<_> = ann.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["api", "daily", "network"]);
    assert!(ann.iter().all(|(_, partition)| partition.len() == 9));
    assert_eq!(tell(&mut host, "192.0.2.1").await, ann);
    assert_eq!(
        tell(&mut telling(secret()), "192.0.2.1").await,
        ann,
        "of another process"
    );

    let bob = tell(&mut host, "192.0.2.2").await;
    let random = tell(&mut telling(Secret::random()), "192.0.2.1").await;
    let mut all: Vec<_> = [&ann, &bob, &random]
        .into_iter()
        .flatten()
        .map(|(_, partition)| partition)
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(
        all.len(),
        9,
        "no two windows, clients or secrets have one in common"
    );

    let refused = async |host: &mut Host| host.passing(5, || from("192.0.2.1")).await;
    assert_eq!(refused(&mut host).await, 3);
    assert_eq!(tell(&mut host, "192.0.2.1").await, ann, "of a refusal, too");
}

#[tokio::test]
async fn partition_keys_are_told_on_request_alone() {
    let mut host = Host::new([minutely("api", 5).by(per_client())]);
    let response = host.send(from("192.0.2.1")).await;
    assert!(!header(&response, "ratelimit").unwrap().contains("pk"));
    assert!(
        !header(&response, "ratelimit-policy")
            .unwrap()
            .contains("pk")
    );
}

proptest! {
    #[test]
    fn the_fields_are_structured_fields_to_another_parser(
        windows in prop::collection::btree_map("[ !#-\\[\\]-~]{1,64}", (1u64..=1_000_000_000, 1u64..=1_000_000), 1..6),
        unit in prop::option::of("[ !#-\\[\\]-~]{1,64}"),
    ) {
        let policy = |(name, (count, burst)): (&String, &(u64, u64))| {
            let quota = Quota::per_second(*count).burst(*burst);
            let policy = Policy::new(name.clone(), quota).by(key::constant());
            match &unit {
                Some(unit) => policy.unit(unit.clone()),
                None => policy,
            }
        };
        let mut host = Host::new(windows.iter().map(policy));
        let response = futures::FutureExt::now_or_never(host.send(get("/"))).unwrap();
        for (field, first) in [("ratelimit-policy", "q"), ("ratelimit", "r")] {
            let value = response.headers()[field].to_str().unwrap();
            let list = sfv::Parser::new(value).parse::<sfv::List>().unwrap();
            prop_assert_eq!(list.len(), windows.len());
            for (entry, (name, (_, burst))) in list.iter().zip(&windows) {
                let sfv::ListEntry::Item(item) = entry else { panic!("a list of items") };
                prop_assert_eq!(item.bare_item.as_string().unwrap().as_str(), name);
                let cells = i64::from(item.params[first].as_integer().unwrap()) as u64;
                prop_assert_eq!(cells, if first == "q" { *burst } else { burst - 1 });
                let told = item.params.get("qu").map(|unit| unit.as_string().unwrap().as_str());
                prop_assert_eq!(told, unit.as_deref().filter(|_| first == "q"));
                for (name, value) in &item.params {
                    let known = ["q", "w", "qu", "r", "t"].contains(&name.as_str());
                    prop_assert!(known, "{} {:?}", name, value);
                }
            }
        }
    }
}
