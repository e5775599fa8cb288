//! What a real browser makes of the demo's security headers.

use browser::{Browser, Demo};
use fantoccini::Locator;
use serde_json::{Value, json};

use crate::demo::{open_page, shows};
use crate::page::{Page, serve};

/// The nonce of the page that the browser shows.
async fn nonce(browser: &Browser) -> String {
    let script = "return document.querySelector('script').nonce";
    let nonce = browser.execute(script, Vec::new()).await.unwrap();
    nonce.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_inline_script_runs_with_the_nonce_and_without_it_is_blocked_and_reported() {
    let demo = Demo::start(&[]);
    let browser = open_page(&demo).await;
    let nonce = nonce(&browser).await;
    // As if the server had been made to write it into its page: the policy is still the page's.
    let markup = format!(
        "<!doctype html><title>page</title>\
         <script>document.title = 'injected'</script>\
         <img src=x onerror=\"document.title = 'injected'\">\
         <p id=out></p>\
         <script nonce=\"{nonce}\">document.getElementById('out').className = 'ran'</script>"
    );
    let tree = browser.devtools("Page.getFrameTree", json!({})).await;
    let frame = &tree.unwrap()["frameTree"]["frame"]["id"];
    let content = json!({ "frameId": frame, "html": markup });
    let set = browser.devtools("Page.setDocumentContent", content).await;
    set.unwrap();
    shows(&browser, "#out.ran").await;
    assert_eq!(browser.title().await.unwrap(), "page");

    // Another page of the demo tells what the collector was told.
    let page = open_page(&demo).await;
    shows(&page, "#reports li").await;
    let reports = page.find(Locator::Id("reports")).await.unwrap();
    let told = reports.text().await.unwrap();
    assert!(told.contains("script-src-elem"), "{told}");
    assert!(told.contains("inline"), "{told}");
    assert_eq!(browser.title().await.unwrap(), "page");
}

/// Somebody else's page, which frames whatever its address says behind the `#`.
fn framing(path: &str) -> Option<Page> {
    match path {
        "/" => Some((
            "text/html",
            "<!doctype html><body><script src=/frame.js></script>",
        )),
        "/frame.js" => Some((
            "text/javascript",
            "const frame = document.createElement('iframe');
             frame.src = location.hash.slice(1);
             document.body.append(frame);",
        )),
        "/inside" => Some(("text/html", "<!doctype html><p id=inside>in a frame</p>")),
        _ => None,
    }
}

#[tokio::test]
async fn a_page_in_somebody_elses_frame_is_refused() {
    let demo = Demo::start(&[]);
    let (one, other) = (serve(framing).await, serve(framing).await);
    let browser = Browser::open().await;
    let framed = async |url: &str, id| {
        browser.goto("about:blank").await.unwrap();
        let outer = format!("http://{one}/#{url}");
        browser.goto(&outer).await.unwrap();
        browser.enter_frame(0).await.unwrap();
        let shows = browser.find(Locator::Id(id)).await.is_ok();
        let at = browser.execute("return location.href", Vec::new()).await;
        browser.enter_parent_frame().await.unwrap();
        (shows, at.unwrap().as_str().unwrap().to_owned())
    };
    // Of this page nobody has said that it may not be framed.
    let allowed = format!("http://{other}/inside");
    assert_eq!(framed(&allowed, "inside").await, (true, allowed.clone()));
    assert_eq!(browser.problems().await.unwrap(), []);
    let refused = (false, "chrome-error://chromewebdata/".to_owned());
    assert_eq!(framed(&demo.url("/"), "stream-state").await, refused);
    let told = browser.problems().await.unwrap();
    let says = |problem: &browser::Problem| problem.message.contains("frame-ancestors 'none'");
    assert!(told.iter().any(says), "{told:?}");
}

#[tokio::test]
async fn a_304_keeps_the_scripts_of_the_cached_page_working() {
    let demo = Demo::start(&[]);
    let browser = open_page(&demo).await;
    // The first page opened a session; what follows is the page of its user.
    browser.goto(&demo.url("/")).await.unwrap();
    shows(&browser, "#stream-state[data-state=ok]").await;
    let first = nonce(&browser).await;
    for _ in 0..2 {
        browser.goto(&demo.url("/")).await.unwrap();
        // The page's script runs, under the policy that came with it.
        shows(&browser, "#stream-state[data-state=ok]").await;
        assert_eq!(nonce(&browser).await, first, "the page was sent again");
    }
    let told = browser.problems().await.unwrap();
    assert!(
        told.iter().all(|problem| problem.source != "security"),
        "{told:?}"
    );
}

#[tokio::test]
async fn the_page_tells_its_headers_findings_and_reports_also_on_a_phone_in_the_dark() {
    let demo = Demo::start(&[]);
    let browser = Browser::open().await;
    let phone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
    let resized = browser.devtools("Emulation.setDeviceMetricsOverride", phone);
    resized.await.unwrap();
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    let darkened = browser.devtools("Emulation.setEmulatedMedia", dark);
    darkened.await.unwrap();
    browser.goto(&demo.url("/")).await.unwrap();

    shows(&browser, "#headers dd").await;
    shows(&browser, "#no-findings:not([hidden])").await;
    let violate = browser.find(Locator::Id("violate")).await.unwrap();
    violate.click().await.unwrap();
    shows(&browser, "#reports li").await;
    let reports = browser.find(Locator::Id("reports")).await.unwrap();
    let told = reports.text().await.unwrap();
    assert!(told.contains("img-src"), "{told}");

    let look = "return [document.documentElement.scrollWidth, innerWidth,
                        getComputedStyle(document.body).backgroundColor]";
    let look = browser.execute(look, Vec::new()).await.unwrap();
    assert_eq!(look, json!([360, 360, "rgb(18, 21, 27)"]));
    let elsewhere = "return performance.getEntriesByType('resource')
                        .filter(entry => !entry.name.startsWith(location.origin)
                                         && entry.responseStatus > 0).length";
    let elsewhere = browser.execute(elsewhere, Vec::new()).await.unwrap();
    assert_eq!(elsewhere, Value::from(0));
}
