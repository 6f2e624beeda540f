//! Serves the simulated providers until it is stopped: `cargo run -p backstop-sim --example sim -- 127.0.0.1:0`.

use backstop_sim::Sim;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let sim = Sim::bind(addr).await?;
    println!("simulator on {}", sim.url());
    std::future::pending().await
}
