//! A cluster of three.

use bartizan::rate_limit::conformance;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use server::{Redis, RedisCluster};

use super::*;

async fn connect(cluster: &RedisCluster) -> ClusterConnection {
    let client = ClusterClient::new(cluster.urls()).unwrap();
    client.get_async_connection().await.unwrap()
}

fn over(connection: &ClusterConnection, prefix: &str) -> RedisStore<ClusterConnection> {
    let builder = RedisStore::builder(connection.clone(), secret(), Outage::Deny);
    builder.deadline(PATIENT).prefix(prefix).build().unwrap()
}

#[tokio::test]
async fn a_cluster_keeps_the_contract_and_spreads_the_buckets() {
    let mut cluster = RedisCluster::start();
    let connection = connect(&cluster).await;
    let case = std::sync::atomic::AtomicU32::new(0);
    conformance::store(async || {
        let case = case.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        over(&connection, &format!("case-{case}"))
    })
    .await;

    // Two instances, many keys, policies whose buckets are on different nodes.
    let instances = [over(&connection, "x"), over(&connect(&cluster).await, "x")];
    for caller in 0..30 {
        let mut passed = 0;
        for request in 0..8 {
            let checks = [
                Check::new("api", "api", caller, daily(9)),
                Check::new("api", "burst", caller, daily(5)),
                Check::new("tenant", "tenant", caller / 3, daily(100)),
            ];
            let decision = ask(&instances[request % 2], &checks).await;
            passed += u64::from(decision.is_allowed());
        }
        assert_eq!(passed, 5, "caller {caller}");
    }
    let tenant = Check::new("tenant", "tenant", 0, daily(100));
    let peeked = over(&connection, "x").peek(&[tenant]).await;
    assert_eq!(
        peeked.verdicts()[0].remaining(),
        85,
        "refusals were taken back"
    );
    for node in 0..3 {
        let keys: Vec<String> = cluster.node(node).command(&["KEYS", "x:*"]).unwrap();
        assert!(
            keys.len() >= 3,
            "{} of 40 buckets on node {node}",
            keys.len()
        );
    }
}

/// The bucket is asked about at its former node, which points to the new one: for once, and then for good.
#[tokio::test]
async fn a_slot_that_moves_takes_its_buckets_along() {
    let mut cluster = RedisCluster::start();
    let connection = connect(&cluster).await;
    let check = api(1, daily(5));
    // One that knows nothing, so that the cluster is asked each time.
    let passes = async || passing(&over(&connection, "x"), check, 1).await;
    assert_eq!(passes().await, 1);

    let (from, name) = (0..3)
        .find_map(|node| {
            let mut keys = keys(cluster.node(node));
            Some((node, keys.pop()?))
        })
        .unwrap();
    let to = (from + 1) % 3;
    let id = |node: &Redis| node.command::<String>(&["CLUSTER", "MYID"]).unwrap();
    let (source, target) = (id(cluster.node(from)), id(cluster.node(to)));
    let slot: u16 = (cluster.node(from))
        .command(&["CLUSTER", "KEYSLOT", &name])
        .unwrap();
    let slot = slot.to_string();
    let set = |node: &Redis, what: &str, id: &str| {
        let words = ["CLUSTER", "SETSLOT", &slot, what, id];
        node.command::<()>(&words).unwrap();
    };
    set(cluster.node(to), "IMPORTING", &source);
    set(cluster.node(from), "MIGRATING", &target);
    assert_eq!(passes().await, 1, "it has not gone yet");
    let port = cluster.node(to).port().to_string();
    let migrate = ["MIGRATE", "127.0.0.1", &port, &name, "0", "5000"];
    cluster.node(from).command::<()>(&migrate).unwrap();
    assert_eq!(passes().await, 1, "it is asked for at its new node");
    set(cluster.node(to), "NODE", &target);
    set(cluster.node(from), "NODE", &target);
    let mut passed = 0;
    for _ in 0..5 {
        passed += passes().await;
    }
    assert_eq!(passed, 2);
}
