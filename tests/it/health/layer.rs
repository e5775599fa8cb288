//! The layer in front of services of every kind.

use std::convert::Infallible;
use std::future::ready;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use bartizan::body::ResponseBody;
use bartizan::health::Dependency;
use http_body_util::Full;
use tower::{Layer, Service, service_fn};

use super::*;

/// Not `Clone`, and ready only after it has been asked twice.
struct Shy {
    asked: usize,
}

impl Service<Request<Full<Bytes>>> for Shy {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, &'static str>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.asked += 1;
        if self.asked < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(self.asked >= 2, "called before it was ready");
        ready(match request.uri().path() {
            "/broken" => Err("broken"),
            path => Ok(Response::new(Full::from(path.to_owned()))),
        })
    }
}

async fn body(response: Response<ResponseBody<Full<Bytes>>>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test(start_paused = true)]
async fn it_answers_its_paths_and_passes_everything_else() {
    let health = run(builder()).await;
    let mut service = health.layer().layer(Shy { asked: 0 });
    let mut ask = async |path: &str| {
        let request = Request::get(path).body(Full::default()).unwrap();
        service.ready().await.unwrap().call(request).await
    };
    for path in ["/orders", "/livez/", "/healthz", "/health/a/b", "/readyzz"] {
        assert_eq!(body(ask(path).await.unwrap()).await, path);
    }
    assert_eq!(body(ask("/livez").await.unwrap()).await, "ok");
    assert_eq!(body(ask("/readyz?x=1").await.unwrap()).await, "ok");
    assert_eq!(ask("/health/misspelt").await.unwrap().status(), 404);
    assert_eq!(ask("/broken").await.unwrap_err(), "broken");
}

#[tokio::test(start_paused = true)]
async fn in_axum_it_sees_paths_that_no_route_has() {
    let health = run(builder().dependency(Dependency::local("disk", || ready(())))).await;
    let app = axum::Router::new()
        .route("/orders", axum::routing::get(async || "orders"))
        .route_service("/internal/ready", health.ready())
        .layer(health.layer());
    for (path, code) in [
        ("/orders", 200),
        ("/livez", 200),
        ("/health/disk", 200),
        ("/internal/ready", 200),
        ("/nothing", 404),
    ] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        assert_eq!(
            app.clone().oneshot(request).await.unwrap().status(),
            code,
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn its_paths_are_routes_as_axum_writes_them() {
    let health = run(builder().dependency(Dependency::local("disk", || ready(())))).await;
    let routes = Health::PATHS
        .into_iter()
        .fold(axum::Router::new(), |routes, path| {
            routes.route_service(path, health.service())
        });
    for path in [
        "/livez",
        "/readyz",
        "/health",
        "/health/disk",
        "/api/status",
    ] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        assert_eq!(
            routes.clone().oneshot(request).await.unwrap().status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn over_hyper_a_head_has_the_length_of_the_page_and_no_body() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use hyper_util::service::TowerToHyperService;

    let health = run(builder()).await;
    for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let service = TowerToHyperService::new(health.service());
        tokio::spawn(async move {
            let server_side = auto::Builder::new(TokioExecutor::new());
            server_side
                .serve_connection(TokioIo::new(server), service)
                .await
        });
        let mut responses = Vec::new();
        let requests = ["HEAD", "GET"].map(|method| {
            let request = Request::builder()
                .method(method)
                .uri("http://localhost/health");
            request.body(Full::<Bytes>::default()).unwrap()
        });
        if version == http::Version::HTTP_2 {
            let handshake =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client));
            let (mut sender, connection) = handshake.await.unwrap();
            tokio::spawn(connection);
            for request in requests {
                responses.push(sender.send_request(request).await.unwrap());
            }
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(client))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            for request in requests {
                sender.ready().await.unwrap();
                responses.push(sender.send_request(request).await.unwrap());
            }
        }
        let page = r#"{"status":"pass"}"#;
        for (response, body) in responses.into_iter().zip(["", page]) {
            assert_eq!(response.version(), version);
            assert_eq!(response.headers()["content-length"], page.len().to_string());
            assert_eq!(
                response.into_body().collect().await.unwrap().to_bytes(),
                body
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_front_of_grpc_it_leaves_calls_and_their_trailers_alone() {
    let health = run(builder()).await;
    let called = Arc::new(AtomicBool::new(false));
    let grpc = {
        let called = called.clone();
        service_fn(move |request: Request<tonic::body::Body>| {
            called.store(true, Ordering::SeqCst);
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            let body =
                Full::new(Bytes::from("frame"))
                    .with_trailers(ready(Some(Ok::<_, Infallible>(trailers))));
            drop(request);
            ready(Ok::<_, Infallible>(Response::new(tonic::body::Body::new(
                body,
            ))))
        })
    };
    let service = health.layer().layer(grpc);
    let request = |path: &str| {
        Request::post(path)
            .body(tonic::body::Body::empty())
            .unwrap()
    };
    let response = service
        .clone()
        .oneshot(request("/orders.Orders/Get"))
        .await
        .unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert!(called.swap(false, Ordering::SeqCst));

    let probe = Request::get("/readyz")
        .body(tonic::body::Body::empty())
        .unwrap();
    assert_eq!(service.oneshot(probe).await.unwrap().status(), 200);
    assert!(!called.load(Ordering::SeqCst));
}
