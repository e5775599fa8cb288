//! The demo's page, as a person would see it.

use std::time::Duration;

use browser::{Browser, Demo, Problem};
use bytes::Bytes;
use fantoccini::Locator;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Long, for a machine that does much else: only what never comes takes all of it.
const DEADLINE: Duration = Duration::from_secs(120);

/// A client that is not the browser.
pub(crate) struct Other<'a> {
    demo: &'a Demo,
    cookie: String,
}

impl<'a> Other<'a> {
    pub(crate) async fn sign_in(demo: &'a Demo, user: &str) -> Self {
        let answer = post(demo, "/api/session", "", &json!({ "user": user })).await;
        assert_eq!(answer.status(), 204);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { demo, cookie }
    }

    /// Writes a transaction and returns its id.
    pub(crate) async fn pay(&self, memo: &str) -> u64 {
        let body = json!({ "amount": 1.5, "memo": memo });
        let answer = post(self.demo, "/api/transactions", &self.cookie, &body).await;
        assert_eq!(answer.status(), 201);
        let row = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&row).unwrap()["id"]
            .as_u64()
            .unwrap()
    }
}

async fn post(demo: &Demo, path: &str, cookie: &str, body: &Value) -> Response<Incoming> {
    let request = Request::post(demo.url(path))
        .header("content-type", "application/json")
        .header("cookie", cookie)
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.request(request).await.unwrap()
}

/// Opens the page and waits until its stream is open.
pub(crate) async fn open_page(demo: &Demo) -> Browser {
    let browser = Browser::open().await;
    browser.goto(&demo.url("/")).await.unwrap();
    shows(&browser, "#stream-state[data-state=ok]").await;
    browser
}

pub(crate) async fn shows(browser: &Browser, selector: &str) {
    let found = browser.wait().at_most(DEADLINE);
    found.for_element(Locator::Css(selector)).await.unwrap();
}

/// The ids of the rows, from the top.
async fn rows(browser: &Browser) -> Vec<u64> {
    let script = "return [...document.querySelectorAll('#transactions tr')].map(row => Number(row.dataset.id))";
    let rows = browser.execute(script, Vec::new()).await.unwrap();
    serde_json::from_value(rows).unwrap()
}

pub(crate) async fn wait_for_rows(browser: &Browser, expected: &[u64]) {
    let met = async {
        while rows(browser).await != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(DEADLINE, met).await.is_err() {
        assert_eq!(rows(browser).await, expected);
    }
}

#[tokio::test]
async fn what_another_client_writes_shows_within_a_second_and_without_a_problem() {
    let demo = Demo::start(&[]);
    let browser = open_page(&demo).await;
    let other = Other::sign_in(&demo, "u1").await;

    // Told in beats of the page, each of which takes 50 ms and an answer of the demo: a busy machine
    // slows them down as it slows the row, and on an idle one 19 are a second at most.
    let beats = "window.beats = 0;
                 window.shown = {};
                 new MutationObserver(() => document.querySelectorAll('#transactions tr')
                   .forEach(row => { window.shown[row.dataset.id] ??= window.beats; }))
                   .observe(document.getElementById('transactions'), { childList: true, subtree: true });
                 (async () => {
                   for (;; window.beats++) {
                     await fetch('/livez');
                     await new Promise(over => setTimeout(over, 50));
                   }
                 })();";
    browser.execute(beats, Vec::new()).await.unwrap();
    let told = async |script: &str| {
        let told = browser.execute(script, Vec::new()).await.unwrap();
        told.as_u64().unwrap()
    };
    let before = told("return window.beats").await;
    let markup = "<img src=x onerror=\"document.title='injected'\">";
    let id = other.pay(markup).await;
    let selector = format!("#transactions tr[data-id='{id}']");
    let row = browser.wait().at_most(DEADLINE);
    let row = row.for_element(Locator::Css(&selector)).await.unwrap();
    let text = row.text().await.unwrap();
    let shown = told(&format!("return window.shown[{id}]")).await;
    assert!(
        shown - before <= 19,
        "beats until it shows: {before}, {shown}"
    );
    assert!(text.contains(markup), "{text}");
    Other::sign_in(&demo, "u2").await.pay("not for u1").await;

    // The page writes, too, and sees it come back over its stream.
    let memo = browser.find(Locator::Id("memo")).await.unwrap();
    memo.send_keys("from the page").await.unwrap();
    browser
        .find(Locator::Css("#pay button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    wait_for_rows(&browser, &[3, 1]).await;

    // Health, limits and headers are there.
    shows(&browser, "#health-state[data-state=ok]").await;
    shows(&browser, "#graph g:nth-of-type(3) rect").await;
    shows(&browser, "#limit-writes").await;
    shows(&browser, "#headers dd").await;
    assert_ne!(browser.title().await.unwrap(), "injected");
    assert_eq!(browser.problems().await.unwrap(), []);
}

#[tokio::test]
async fn after_a_crash_the_page_shows_what_was_written_meanwhile_once_and_in_order() {
    let mut demo = Demo::start(&[]);
    let mut browser = open_page(&demo).await;
    Other::sign_in(&demo, "u1").await.pay("before").await;
    wait_for_rows(&browser, &[1]).await;

    // While the browser stands still it cannot come back in the midst of it.
    browser.driver_mut().process_mut().pause();
    demo.kill();
    demo.restart();
    let other = Other::sign_in(&demo, "u1").await;
    for memo in ["one", "two", "three"] {
        other.pay(memo).await;
    }
    browser.driver_mut().process_mut().resume();
    wait_for_rows(&browser, &[4, 3, 2, 1]).await;

    other.pay("live again").await;
    wait_for_rows(&browser, &[5, 4, 3, 2, 1]).await;
    // That the connection broke is told; nothing else may be.
    assert_eq!(beyond_the_network(&browser).await, []);
}

#[tokio::test]
async fn over_another_log_the_page_begins_afresh() {
    let mut demo = Demo::start(&[]);
    let browser = open_page(&demo).await;
    let other = Other::sign_in(&demo, "u1").await;
    for memo in ["one", "two"] {
        other.pay(memo).await;
    }
    wait_for_rows(&browser, &[2, 1]).await;

    demo.kill();
    std::fs::remove_dir_all(demo.data()).unwrap();
    demo.restart();
    // The page's session went with the data; it opens another one by itself.
    Other::sign_in(&demo, "u1").await.pay("anew").await;
    wait_for_rows(&browser, &[1]).await;
    assert_eq!(beyond_the_network(&browser).await, []);
}

#[tokio::test]
async fn a_locked_database_shows_as_the_cause_of_the_rest_and_recovers() {
    let demo = Demo::start(&[]);
    let browser = open_page(&demo).await;
    shows(&browser, "#health-state[data-state=ok]").await;
    // For longer than the page asks for: a busy browser takes its time to look.
    let longer = "const send = window.fetch;
                  window.fetch = (url, init) => send(url, url === '/api/demo/lock'
                    ? { ...init, body: JSON.stringify({ seconds: 30 }) } : init);";
    browser.execute(longer, Vec::new()).await.unwrap();
    browser
        .find(Locator::Css("#lock button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    shows(&browser, "#health-state[data-state=fail]").await;
    let told = browser.find(Locator::Id("health-state")).await.unwrap();
    assert_eq!(told.text().await.unwrap(), "fails: database");
    shows(&browser, "#graph line[data-state=fail]").await;
    let text = async |selector: &str| {
        shows(&browser, selector).await;
        let found = browser.find(Locator::Css(selector)).await.unwrap();
        found.text().await.unwrap()
    };
    assert_eq!(text("#graph g[data-state=wait] .state").await, "blocked");
    assert_eq!(
        text("#dependencies [data-state=wait] strong").await,
        "ledger"
    );
    assert_eq!(
        text("#dependencies [data-state=fail] strong").await,
        "database"
    );

    shows(&browser, "#health-state[data-state=ok]").await;
    shows(&browser, "#graph line[data-state=ok]").await;
    // Both changes come over the stream, once the database takes them.
    let recovered = text("#changes li:first-child[data-state=ok] span").await;
    assert_eq!(recovered, "works");
    // Where the machine is so busy that a probe took too long, that is told beside it.
    let failed = "//*[@id='changes']/li[@data-state='fail']\
                  /span[.='fails: database (locked); ledger blocked']";
    let found = browser.wait().at_most(DEADLINE);
    found.for_element(Locator::XPath(failed)).await.unwrap();
    assert_eq!(beyond_the_network(&browser).await, []);
}

pub(crate) async fn beyond_the_network(browser: &Browser) -> Vec<Problem> {
    let problems = browser.problems().await.unwrap();
    problems
        .into_iter()
        .filter(|problem| problem.source != "network")
        .collect()
}
