//! A request goes to its end under the rules that it began with.

use rustix::process::Signal;

use crate::support::{Client, ask, config};
use crate::upstream::Upstream;
use crate::{EU_ONLY, NOT_WITHIN, Sides, kept_away, outside};

const SETTINGS: &str = "router_settings: {num_retries: 0, cooldown_time: 0}\n";

#[tokio::test]
async fn a_reload_widens_no_request_that_is_under_way() {
    let sides = Sides::new().await;
    let mut upstream = Upstream::start().await;
    let deployments = [
        upstream
            .deployment("smart", "eu")
            .info("region: {processing: eu-central-1, storage: eu}"),
        outside("smart", "us", "openai/gpt-4o"),
    ];
    let gateway = sides
        .gateway(&deployments, &format!("{SETTINGS}{EU_ONLY}"))
        .await;
    let mut client = Client::connect(gateway.addr()).await;
    let asking = tokio::spawn(async move { client.send(ask("smart", false)).await });
    let call = upstream.call().await;

    // The rule is gone, for those who come now.
    std::fs::write(
        gateway.path("backstop.yaml"),
        config(&deployments, SETTINGS),
    )
    .expect("writable");
    gateway.signal(Signal::HUP);
    gateway.logged(&["configuration reloaded"]).await;
    call.fail();
    let response = asking.await.expect("no panic");
    assert_eq!(response.status, 503, "{}", response.text());
    let record = gateway.record(response.request_id()).await;
    assert_eq!(kept_away(&record), [("us", NOT_WITHIN)]);
    sides.nothing_left("a reload");

    let fail = async { upstream.call().await.fail() };
    let (response, ()) = tokio::join!(gateway.ask("smart", false), fail);
    assert_eq!(response.header("x-backstop-deployment"), "us");
    sides.us.journal().clear();

    // And back: who comes now is held to it, key and all.
    let rules = "
keys: [{id: web, key: sk-web, residency: strict}]
residency: {rules: [{name: strict, match: none, require: {processing: [eu], storage: [eu]}}]}
";
    let text = config(&deployments, &format!("{SETTINGS}{rules}"));
    std::fs::write(gateway.path("backstop.yaml"), text).expect("writable");
    gateway.signal(Signal::HUP);
    let reloaded = async {
        while gateway.log().matches("configuration reloaded").count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    crate::support::within("another reload", reloaded).await;
    let web = crate::ask_with("smart", "Hello", &[("authorization", "Bearer sk-web")]);
    let fail = async { upstream.call().await.fail() };
    let (response, ()) = tokio::join!(gateway.send(web), fail);
    assert_eq!(response.status, 503, "{}", response.text());
    let record = gateway.record(response.request_id()).await;
    assert_eq!(record["policy"], "strict");
    sides.nothing_left("a rule that came");
}
