//! That the browser is what the tests need: it runs pages, and tells what goes wrong in them.

use std::time::Duration;

use bartizan_process::tree;
use browser::Browser;
use fantoccini::Locator;

use crate::page::{Page, serve};

const DEADLINE: Duration = Duration::from_secs(120);

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript";

fn live_page(path: &str) -> Option<Page> {
    match path {
        "/" => Some((
            HTML,
            "<!doctype html><p id=out></p><script src=/live.js></script>",
        )),
        "/live.js" => Some((
            SCRIPT,
            "const source = new EventSource('/events');
             source.addEventListener('greeting', event => {
               source.close();
               const out = document.getElementById('out');
               out.textContent = `${event.lastEventId} ${event.data}`;
               out.className = 'done';
             });",
        )),
        "/events" => Some((
            "text/event-stream",
            "id: 7\nevent: greeting\ndata: hello\n\n",
        )),
        _ => None,
    }
}

#[tokio::test]
async fn a_page_receives_an_event_without_a_problem() {
    let address = serve(live_page).await;
    let browser = Browser::open().await;
    browser.goto(&format!("http://{address}/")).await.unwrap();
    let done = browser.wait().at_most(DEADLINE);
    let done = done.for_element(Locator::Css("#out.done")).await.unwrap();
    assert_eq!(done.text().await.unwrap(), "7 hello");
    assert_eq!(browser.problems().await.unwrap(), []);
}

fn broken_page(path: &str) -> Option<Page> {
    match path {
        "/" => Some((
            HTML,
            "<!doctype html><script>document.title = 'injected'</script><script src=/broken.js></script>",
        )),
        "/broken.js" => Some((
            SCRIPT,
            "console.error('told'); console.log('not a problem');
             fetch('/missing').then(() => { document.title = 'done'; throw new Error('thrown'); });",
        )),
        _ => None,
    }
}

#[tokio::test]
async fn what_goes_wrong_in_a_page_is_told_once() {
    let address = serve(broken_page).await;
    let browser = Browser::open().await;
    browser.goto(&format!("http://{address}/")).await.unwrap();

    let mut problems = Vec::new();
    while problems.len() < 4 {
        problems.extend(
            tokio::time::timeout(DEADLINE, browser.problems())
                .await
                .unwrap()
                .unwrap(),
        );
    }

    assert_eq!(browser.title().await.unwrap(), "done");
    let told = |source: &str, part: &str| {
        let of_it = |one: &&browser::Problem| one.source == source && one.message.contains(part);
        problems.iter().filter(of_it).count()
    };
    assert_eq!(
        told("security", "Content Security Policy"),
        1,
        "{problems:?}"
    );
    assert_eq!(told("console-api", "told"), 1, "{problems:?}");
    assert_eq!(told("network", "404"), 1, "{problems:?}");
    assert_eq!(told("javascript", "thrown"), 1, "{problems:?}");
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[tokio::test]
async fn a_closed_browser_leaves_nothing_behind() {
    let browser = Browser::open().await;
    let members = browser.driver().process().members();
    let path = browser.driver().directory().path().to_owned();
    assert!(members.len() > 3, "the driver, Chromium and its helpers");
    drop(browser);
    for pid in members {
        assert!(!tree::is_alive(pid), "{pid} still runs");
    }
    assert!(!path.exists());
}
