//! Takes the picture of the demo that the README shows.
//!
//! `cargo run --package bartizan-browser --example screenshot`

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use browser::{Browser, Demo};
use fantoccini::Locator;
use serde_json::json;

const WIDTH: u32 = 1160;
const HEIGHT: u32 = 900;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let demo = Demo::start(&[]);
    let browser = Browser::open().await;
    let size = json!({
        "width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1.5, "mobile": false,
    });
    browser
        .devtools("Emulation.setDeviceMetricsOverride", size)
        .await?;
    let hidden = json!({ "hidden": true });
    browser
        .devtools("Emulation.setScrollbarsHidden", hidden)
        .await?;
    browser.goto(&demo.url("/")).await?;
    shows(&browser, "#stream-state[data-state=ok]").await?;

    for (amount, memo) in [
        (48.0, "train"),
        (3.2, "coffee"),
        (12.5, "lunch"),
        (840.0, "rent"),
    ] {
        let row = json!({ "amount": amount, "memo": memo });
        post(&browser, "/api/transactions", row).await?;
    }
    let text = json!({ "text": "Closed on Monday" });
    post(&browser, "/api/announcements", text).await?;

    shows(&browser, "#transactions tr:nth-of-type(4)").await?;
    shows(&browser, "#announcements li").await?;
    shows(&browser, "#graph g:nth-of-type(3) rect").await?;
    shows(&browser, "#limit-writes").await?;

    // A limit that is used up, and a dependency that fails, are what the guards are for.
    click(&browser, "#burst").await?;
    shows(&browser, "#burst-result:not(:has(code))").await?;
    // The lock is a write, too, and the quota is one per second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    click(&browser, "#lock button").await?;
    shows(
        &browser,
        "#health-state:is([data-state=warn], [data-state=fail])",
    )
    .await?;

    // Nothing of it may be caught in the middle of a transition.
    let still =
        "return Promise.all(document.getAnimations().map(one => one.finished)).then(() => true)";
    browser.execute(still, Vec::new()).await?;
    let picture = json!({ "format": "webp", "quality": 80 });
    let picture = browser.devtools("Page.captureScreenshot", picture).await?;
    let picture = BASE64.decode(picture["data"].as_str().ok_or("no picture")?)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/demo/screenshot.webp");
    std::fs::write(&path, &picture)?;
    println!("{} bytes in {}", picture.len(), path.display());
    Ok(())
}

async fn shows(browser: &Browser, selector: &str) -> Result<(), Box<dyn Error>> {
    let found = browser.wait().at_most(Duration::from_secs(30));
    found.for_element(Locator::Css(selector)).await?;
    Ok(())
}

async fn click(browser: &Browser, selector: &str) -> Result<(), Box<dyn Error>> {
    browser.find(Locator::Css(selector)).await?.click().await?;
    Ok(())
}

/// Sends it from the page, as the page's user.
async fn post(
    browser: &Browser,
    path: &str,
    body: serde_json::Value,
) -> Result<(), Box<dyn Error>> {
    let script = "return fetch(arguments[0], {
        method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(arguments[1]),
    }).then(answer => answer.status)";
    let status = browser.execute(script, vec![json!(path), body]).await?;
    if status != 201 {
        return Err(format!("{path} answered with {status}").into());
    }
    Ok(())
}
