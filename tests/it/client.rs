//! `bartizan::client` as a host sees it.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use bartizan::client::{Client, ClientSource, PeerAddr, Scheme, TrustedProxies};
use http::Request;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, ServiceExt, service_fn};

use crate::recorder::Recorder;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

fn address() -> SocketAddr {
    (CLIENT, 4711).into()
}

#[test]
fn the_extensions_of_axum_and_tonic_are_named_in_a_closure() {
    let axum = ClientSource::from_extension(|peer: &ConnectInfo<SocketAddr>| peer.0.ip());
    let tonic = ClientSource::from_extension(|peer: &TcpConnectInfo| {
        peer.remote_addr().map(|addr| addr.ip())
    });
    let mut request = Request::new(());
    request.extensions_mut().insert(ConnectInfo(address()));
    request.extensions_mut().insert(TcpConnectInfo {
        local_addr: None,
        remote_addr: Some(address()),
    });
    assert_eq!(axum.identify(&request).ip(), Some(CLIENT));
    assert_eq!(tonic.identify(&request).ip(), Some(CLIENT));
    assert_eq!(ClientSource::peer().identify(&request).ip(), None);
}

#[tokio::test]
async fn the_peer_layer_serves_any_body_and_passes_errors_on() {
    let inner = service_fn(|request: Request<String>| async move {
        if request.body().is_empty() {
            return Err("empty");
        }
        Ok(ClientSource::peer().identify(&request))
    });
    let service = PeerAddr::layer(address()).layer(inner);
    let client: Client = service.oneshot(Request::new("x".into())).await.unwrap();
    assert_eq!(client.ip(), Some(CLIENT));
    let service = PeerAddr::layer(address()).layer(inner);
    assert_eq!(service.oneshot(Request::default()).await, Err("empty"));
}

#[tokio::test]
async fn the_peer_layer_of_the_connection_replaces_what_was_there() {
    let inner = service_fn(|request: Request<()>| async move {
        Ok::<_, Infallible>(ClientSource::peer().identify(&request).ip())
    });
    let mut request = Request::new(());
    let other = PeerAddr::new(([1, 1, 1, 1], 1).into());
    request.extensions_mut().insert(other);
    let service = PeerAddr::layer(address()).layer(inner);
    assert_eq!(service.oneshot(request).await, Ok(Some(CLIENT)));
}

#[test]
fn identifying_a_client_allocates_nothing_however_deep_the_chain() {
    let proxies = || TrustedProxies::cidrs(["10.0.0.0/8", "fd00::/8"]).unwrap();
    let chain = format!("198.51.100.7{}", ", \"[::ffff:10.0.0.9]:80\"".repeat(15));
    let elements = format!(
        "for=198.51.100.7;proto=https{}",
        ", for=10.0.0.9".repeat(15)
    );
    let request = Request::builder()
        .extension(PeerAddr::new(([10, 0, 0, 1], 1).into()))
        .header("x-forwarded-for", chain)
        .header("x-forwarded-proto", "https, http, garbage")
        .header("forwarded", elements)
        .header("cf-connecting-ip", "198.51.100.7")
        .body(())
        .unwrap();
    let sources = [
        ClientSource::peer().behind(proxies()),
        ClientSource::peer().behind(proxies().forwarded()),
        ClientSource::peer().behind(proxies().single_header("cf-connecting-ip").unwrap()),
    ];
    for source in sources {
        let mut found = None;
        let counted = allocation_counter::measure(|| {
            found = Some(black_box(&source).identify(black_box(&request)));
        });
        assert_eq!(counted.count_total, 0, "{source:?}");
        let found = found.unwrap();
        assert_eq!((found.ip(), found.scheme()), (Some(CLIENT), Scheme::Https));
    }
}

#[test]
fn each_finding_about_a_deployment_is_counted_once() {
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, || {
        let everything = TrustedProxies::cidrs(["0.0.0.0/0"]).unwrap();
        let source = ClientSource::peer().behind(everything);
        let stranger = Request::builder()
            .extension(PeerAddr::new("[2001:db8::1]:4711".parse().unwrap()))
            .header("x-forwarded-for", "1.1.1.1")
            .body(())
            .unwrap();
        for _ in 0..10 {
            source.identify(&Request::new(()));
            source.clone().identify(&stranger);
        }
    });
    let finding = |name| format!("Key(bartizan_client_findings_total, [finding = {name}])");
    let expected = ["trusts_all", "no_peer", "untrusted"].map(|name| (finding(name), 1));
    assert_eq!(recorder.counted(), expected);
}
