//! A private Redis cluster of three masters.

use bartizan_process::{DEADLINE, wait_until};

use crate::redis::Redis;

const NODES: usize = 3;
const SLOTS: usize = 16_384;

/// Three masters without replicas that share all slots.
///
/// While one of them is down the cluster refuses everything, as Redis does by default.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: [Redis; NODES],
}

impl RedisCluster {
    /// Starts three empty nodes, joins them, and waits until all three say that all is well.
    ///
    /// # Panics
    ///
    /// When redis-server is not installed, or the nodes do not find together.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let nodes: [Redis; NODES] = std::array::from_fn(|_| Redis::start_node());
        let (host, port) = ("127.0.0.1", nodes[0].port().to_string());
        let bus = nodes[0].bus().expect("nodes of a cluster have a bus port");
        for (index, node) in nodes.iter().enumerate() {
            let first = (SLOTS * index / NODES).to_string();
            let last = (SLOTS * (index + 1) / NODES - 1).to_string();
            let epoch = (index + 1).to_string();
            tell(node, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            // Three nodes that all start at epoch 0 would have to settle that first.
            tell(node, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
            if index > 0 {
                tell(node, &["CLUSTER", "MEET", host, &port, &bus.to_string()]);
            }
        }
        let cluster = Self { nodes };
        cluster.wait_until_ok();
        cluster
    }

    /// The URL of every node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// One node, to pause or to kill.
    ///
    /// # Panics
    ///
    /// When `index` is 3 or more.
    pub fn node(&mut self, index: usize) -> &mut Redis {
        &mut self.nodes[index]
    }

    /// The node that holds the slot of `key`.
    ///
    /// # Panics
    ///
    /// When the first node does not answer.
    pub fn node_of(&mut self, key: &str) -> &mut Redis {
        let slot: usize = self.nodes[0]
            .command(&["CLUSTER", "KEYSLOT", key])
            .expect("a running node computes slots");
        // The inverse of how `start` shares them out.
        let index = (0..NODES)
            .find(|index| slot < SLOTS * (index + 1) / NODES)
            .expect("a slot is below 16,384");
        &mut self.nodes[index]
    }

    /// Waits until every node sees every other one and says that all slots are served.
    ///
    /// # Panics
    ///
    /// When that does not happen within a minute.
    #[track_caller]
    pub fn wait_until_ok(&self) {
        wait_until(DEADLINE, || self.nodes.iter().all(is_ok).then_some(()))
            .unwrap_or_else(|| panic!("the cluster never became whole: {self:?}"));
    }
}

fn is_ok(node: &Redis) -> bool {
    let info: String = node.command(&["CLUSTER", "INFO"]).unwrap_or_default();
    let says = |line| info.lines().any(|said| said == line);
    says("cluster_state:ok") && says("cluster_slots_ok:16384") && says("cluster_known_nodes:3")
}

#[track_caller]
fn tell(node: &Redis, words: &[&str]) {
    node.command::<()>(words)
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
}
