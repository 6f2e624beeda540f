use std::sync::Arc;

use backstop_budget::testing;
use backstop_store::RedisLedger;

use crate::Replicas;
use crate::support::{Server, options};

/// Three nodes with a third of the slots each.
fn cluster() -> [Server; 3] {
    let nodes = [(); 3]
        .map(|()| Server::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"]));
    let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (node, (first, last)) in nodes.iter().zip(slots) {
        node.command(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        node.command(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port().to_string()]);
    }
    // They have heard of one another when each knows who has every slot.
    for node in &nodes {
        while !node
            .command(&["CLUSTER", "INFO"])
            .contains("cluster_state:ok")
        {
            std::thread::yield_now();
        }
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_replicas_share_one_ceiling_in_a_cluster() {
    let nodes = tokio::task::spawn_blocking(cluster).await.expect("three");
    let urls = nodes.each_ref().map(Server::url);
    // Prefixes that three nodes have between them.
    for prefix in ["a", "b", "c", "d"] {
        let connect = async |urls: &[String]| {
            let mut options = options(prefix, 4);
            options.cluster = true;
            RedisLedger::connect(urls.to_vec(), options)
                .await
                .expect("it is there")
        };
        let replicas = [connect(&urls).await, connect(&urls[2..]).await];
        testing::exactly_what_fits(Arc::new(Replicas::new(replicas)), "test").await;
    }
}
