//! `examples/own_store.rs`. Its own test holds it to the contract.

use crate::example::output;

#[test]
fn what_is_committed_to_a_hosts_repository_is_polled_from_the_stream() {
    let document: serde_json::Value = serde_json::from_str(&output("own_store")).unwrap();
    let event = &document["events"][0];
    assert_eq!(event["type"], "order.paid");
    assert_eq!(event["data"], r#"["tea","milk"]"#);
    assert_eq!(document["cursor"], event["id"]);
}
