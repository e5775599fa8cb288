//! In front of hyper's, axum's and tonic's bodies, and over services that wait, fail, or cannot be
//! cloned.

use std::future::{Future, Ready};
use std::pin::Pin;

use super::*;
use axum::Router;
use axum::extract::MatchedPath;
use axum::routing::{get as get_route, post as post_route};
use bartizan::clock::Clock;
use bartizan::rate_limit::{Answer, Check, Decision, Route, Store, Verdict};
use tower::service_fn;

#[tokio::test]
async fn an_axum_router_is_metered_by_its_templates() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("login", 1).on(Route::post("/api/login")))
        .policy(
            minutely("user", 1)
                .on(Route::get("/api/users/{id}"))
                .by(key::path_param("id")),
        )
        .template_from(|path: &MatchedPath| path.as_str())
        .build()
        .unwrap();
    let api = Router::new()
        .route("/login", post_route(|| async { "welcome" }))
        .route("/users/{user}", get_route(|| async { "user" }))
        .layer(layer);
    let app = Router::new().nest("/api", api);
    let status = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(axum::body::Body::empty()).unwrap();
        app.clone()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status("POST", "/api/login").await, 200);
    assert_eq!(status("POST", "/api/login").await, 429);
    assert_eq!(status("GET", "/api/users/ann").await, 200);
    assert_eq!(status("GET", "/api/users/bob").await, 200);
    assert_eq!(status("GET", "/api/users/ann").await, 429);
    assert_eq!(status("GET", "/api/none").await, 404);
}

#[tokio::test]
async fn a_tonic_body_keeps_its_trailers_and_a_refusal_is_a_grpc_status() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("rpc", 1))
        .build()
        .unwrap();
    let rpc = service_fn(|_: Request<tonic::body::Body>| async {
        let status = tonic::Status::not_found("no such thing");
        Ok::<_, Infallible>(status.into_http::<tonic::body::Body>())
    });
    let service = layer.layer(rpc);
    let call = || {
        let request =
            Request::post("/pkg.Service/Method").header("content-type", "application/grpc");
        request.body(tonic::body::Body::empty()).unwrap()
    };
    let served = service.clone().oneshot(call()).await.unwrap();
    assert_eq!(header(&served, "grpc-status"), Some("5"));
    assert_eq!(header(&served, "ratelimit"), Some(r#""rpc";r=0;t=60"#));
    let refused = service.oneshot(call()).await.unwrap();
    let status = tonic::Status::from_header_map(refused.headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert_eq!(status.message(), "quota exceeded");
    assert!(!status.details().is_empty());
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_through() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 1))
        .build()
        .unwrap();
    let failing = service_fn(|_: Request<()>| async {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("broken"))
    });
    let service = layer.layer(failing);
    let error = service.clone().oneshot(get("/")).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
    assert_eq!(service.oneshot(get("/")).await.unwrap().status(), 429);
}

/// A service that gets ready once it is allowed to.
#[derive(Clone)]
struct Busy(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Service<Request<()>> for Busy {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self.0.load(std::sync::atomic::Ordering::Relaxed) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn the_inner_services_readiness_is_the_layers() {
    let open = std::sync::Arc::default();
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 1))
        .build()
        .unwrap();
    let mut service = layer.layer(Busy(std::sync::Arc::clone(&open)));
    assert!(futures::FutureExt::now_or_never(service.ready()).is_none());
    open.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(futures::FutureExt::now_or_never(service.ready()).is_some());
}

/// A store whose answer takes a second, for requests to `/slow`.
struct Remote;

impl Store for Remote {
    type Wait = Pin<Box<dyn Future<Output = Decision> + Send>>;

    fn check(&self, checks: &[Check<'_>], _: &Clock) -> Answer<Self::Wait> {
        let check = checks[0];
        let verdict = match check.cells() {
            0 => Verdict::passed(5, 4),
            _ => Verdict::refused(5, 0, SECOND),
        };
        let decision = Decision::new(checks, [verdict]);
        if check.window() == "cached" {
            return Answer::Now(decision);
        }
        Answer::Later(Box::pin(async move {
            tokio::time::sleep(SECOND).await;
            decision
        }))
    }
}

/// Counts its clones; only the one that was polled ready may be called.
#[derive(Debug, Default)]
struct Counted {
    ready: bool,
    clones: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.clones
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self {
            ready: false,
            clones: std::sync::Arc::clone(&self.clones),
        }
    }
}

impl Service<Request<()>> for Counted {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "a clone was called that was never ready"
        );
        std::future::ready(Ok(Response::new(Full::from("served"))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_held_while_a_remote_store_is_asked_and_only_then_is_the_service_cloned() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("cached", 5).on(Route::get("/cached")).cost(0))
        .policy(minutely("passing", 5).on(Route::get("/passing")).cost(0))
        .policy(minutely("refused", 5).on(Route::get("/refused")))
        .store(Remote)
        .build()
        .unwrap();
    let origin = Counted::default();
    let clones = std::sync::Arc::clone(&origin.clones);
    let mut service = layer.layer(origin);
    for (path, status, waited, cloned) in [
        ("/cached", 200, 0, 0),
        ("/free", 200, 0, 0),
        ("/passing", 200, 1, 1),
        ("/refused", 429, 1, 2),
    ] {
        let clock = Clock::new();
        let start = clock.now();
        let response = service
            .ready()
            .await
            .unwrap()
            .call(get(path))
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(clock.now().since(start).as_secs(), waited, "{path}");
        assert_eq!(
            clones.load(std::sync::atomic::Ordering::Relaxed),
            cloned,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_closure_is_a_store() {
    let layer = RateLimitLayer::builder()
        .policy(minutely("api", 5))
        .store(|checks: &[Check<'_>], _: &Clock| Decision::new(checks, [Verdict::passed(5, 1)]))
        .build()
        .unwrap();
    let mut service = layer.layer(Origin::default());
    let response = service.ready().await.unwrap().call(get("/")).await.unwrap();
    assert_eq!(header(&response, "ratelimit"), Some(r#""api";r=1"#));
}
