//! A thousand dependencies: what they cost the driver, and what a page of them looks like.

use std::future::ready;

use bartizan::health::Dependency;

use super::*;

/// One change after the other, each at a moment of its own.
#[tokio::test(start_paused = true)]
async fn a_thousand_changes_are_told_in_fifty_pages_a_second() {
    let runs = Runs::default();
    let mut many = builder().concurrency(1_000);
    for index in 0..1_000 {
        let took = millis(index);
        let probe = runs.of(move || async move {
            tokio::time::sleep(took).await;
            Err::<(), _>(refused())
        });
        let dependency = Dependency::shared(format!("d{index}"), probe).soft_deadline(secs(2));
        many = many.dependency(dependency);
    }
    let (health, driver) = many.build().unwrap();
    let mut transitions = health.subscribe();
    tokio::spawn(driver);
    pass(millis(1_100)).await;
    let report = health.current();
    assert_eq!(report.root_causes().count(), 1_000, "all are told");
    // Sixteen at once, fifty a second, and one each second in any case.
    let told = report.generation();
    assert!((50..=16 + 55 + 2).contains(&told), "{told} pages");
    assert_eq!(transitions.current().generation(), told);
    assert_eq!(runs.begun(), 1_000);
}

/// What is told late is told: the last change waits for nothing but its turn.
#[tokio::test(start_paused = true)]
async fn a_change_waits_for_its_turn_and_not_for_the_next_second() {
    let switch = Switch::default();
    let probe = |index: u64| {
        let switch = switch.clone();
        move || {
            let flips = switch.get();
            async move {
                tokio::time::sleep(millis(index)).await;
                if flips == 1 { Err(refused()) } else { Ok(()) }
            }
        }
    };
    let mut many = builder();
    for index in 0..40 {
        let dependency = Dependency::shared(format!("d{index}"), probe(index)).fall(1);
        many = many.dependency(dependency);
    }
    let health = run(many).await;
    pass(millis(4_500)).await;
    switch.set(1);
    pass(millis(1_350)).await;
    // Forty changes soon after the fifth second: sixteen at once, the rest before the sixth.
    assert_eq!(health.current().root_causes().count(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_page_for_operators_is_as_long_as_a_kubelet_reads_and_says_what_it_leaves_out() {
    let mut many = builder();
    for index in 0..1_000 {
        let name = format!("{index:03}{}", "x".repeat(50));
        let fails = index % 10 == 9;
        let probe = move || ready(if fails { Err(refused()) } else { Ok(()) });
        many = many.dependency(Dependency::local(name, probe));
    }
    let health = run(many).await;
    health.started().await;
    let (code, page) = inspect(&health, "/readyz?verbose").await;
    assert_eq!(code, 503);
    assert!(page.len() <= 10 * 1024, "{}", page.len());
    assert_eq!(
        page.lines().filter(|line| line.starts_with("[-]")).count(),
        100
    );
    assert!(
        page.ends_with("\nand 900 more\nreadyz check failed: refused\n"),
        "{page}"
    );

    let (_, page) = inspect(&health, "/startupz?verbose").await;
    assert!(page.len() <= 10 * 1024, "{}", page.len());
    assert!(
        page.ends_with("and 1000 more\nstartupz check passed\n"),
        "{page}"
    );
}

#[tokio::test(start_paused = true)]
async fn of_more_failures_than_fit_the_first_are_told() {
    let mut many = builder();
    for index in 0..1_024 {
        let name = format!("{index:04}{}", "x".repeat(60));
        many = many.dependency(Dependency::local(name, || ready(Err::<(), _>(refused()))));
    }
    let health = run(many).await;
    health.started().await;
    let (_, page) = inspect(&health, "/readyz").await;
    assert!(
        (9 * 1024..=10 * 1024).contains(&page.len()),
        "{}",
        page.len()
    );
    assert!(page.starts_with("[-]0000x"));
    let told = page.lines().filter(|line| line.starts_with("[-]")).count();
    assert!(
        page.contains(&format!("\nand {} more\n", 1_024 - told)),
        "{page}"
    );
}

/// Consul asks for text, and keeps 4 KB of it.
#[tokio::test(start_paused = true)]
async fn the_report_as_text_is_no_longer_than_a_probe_page_and_tells_what_is_wrong() {
    let mut many = builder();
    for index in 0..1_000 {
        let name = format!("{index:03}{}", "x".repeat(50));
        let fails = index % 10 == 9;
        let probe = move || ready(if fails { Err(refused()) } else { Ok(()) });
        many = many.dependency(Dependency::shared(name, probe));
    }
    let names = (0..1_000).map(|index| format!("{index:03}{}", "x".repeat(50)));
    many = many.dependency(Dependency::shared("top", || ready(())).depends_on(names));
    let health = run(many).await;
    health.started().await;
    let text = async |path: &str| {
        let request = Request::get(path).header("accept", "text/plain");
        let request = request.header("x-operator", "me").body(()).unwrap();
        text(call(health.service(), request).await)
    };
    let (code, page) = text("/health").await;
    assert_eq!(code, 200);
    assert!(page.len() <= 10 * 1024, "{}", page.len());
    assert!(page.starts_with("warn: refused\n"), "{page}");
    let failing = page.lines().filter(|line| line.ends_with(" fail: refused"));
    assert_eq!(failing.count(), 100);
    assert!(page.contains("\ntop fail: blocked by 009x"), "{page}");
    assert!(page.ends_with("\nand 900 more\n"), "{page}");

    let (code, page) = text("/health/top").await;
    assert_eq!(code, 503);
    assert!(page.len() <= 10 * 1024, "{}", page.len());
    assert!(page.starts_with("top fail: blocked by 009x"), "{page}");
    assert!(page.ends_with(" and 84 more\n"), "{page}");
}
