//! A Redis cluster of three.

use redis::AsyncTypedCommands;
use redis::cluster::ClusterClient;
use server::RedisCluster;

const KEYS: usize = 100;

#[tokio::test]
async fn keys_spread_over_three_nodes_and_survive_the_kill_of_one() {
    let mut cluster = RedisCluster::start();
    let client = ClusterClient::new(cluster.urls()).unwrap();
    let mut connection = client.get_async_connection().await.unwrap();
    for key in 0..KEYS {
        connection.set(format!("key:{key}"), key).await.unwrap();
    }
    for index in 0..3 {
        let held: usize = cluster.node(index).command(&["DBSIZE"]).unwrap();
        assert!(held > 0, "node {index} holds nothing");
    }

    let owner = cluster.node_of("key:7");
    assert!(owner.command::<String>(&["GET", "key:7"]).is_ok());
    owner.kill();
    owner.restart();
    cluster.wait_until_ok();

    let mut connection = client.get_async_connection().await.unwrap();
    for key in 0..KEYS {
        let kept = connection.get(format!("key:{key}")).await.unwrap();
        assert_eq!(kept, Some(key.to_string()));
    }
}
